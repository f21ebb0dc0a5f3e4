"""imagepipe and Glance side by side: how many requests a second, at what latency, for how much CPU.

Sites starts both over the same kinds of parts, filling.py gives both the same images, calls.py says what
is asked, load.py asks, __main__.py compares. Only what a user can install takes part.
"""
