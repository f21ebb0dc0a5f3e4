"""One function per thing a caller may ask: load, authorize, decide, save, tell.

Each is a function of one transaction, which the database may run again; stores, staging and
sources are spoken to outside of it. No HTTP in here.
"""
