"""Flows and their steps: what an import does, readable as a list of verbs.

Factories are pure: the shape of a flow comes from the recorded plan alone. Steps take their
data by name as plain JSON and their resources by injection. With jobs, the only importer of
TaskFlow. Names of atoms are persisted: renaming one is a new flow version.
"""
