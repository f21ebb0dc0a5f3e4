"""Who runs imports: the jobboard, the conductor, claims and their keeping, the sweeper.

The import's row is the only authority; boards wake workers. TaskFlow's persistence is
written here, under the fence of the claim. Flows are known by name and version only.
"""
