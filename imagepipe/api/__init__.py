"""HTTP, and nothing else: requests become calls of operations, their answers become responses.

One table of routes, handlers of a few lines, schemas for what comes in, views for what goes out,
one renderer of errors. Nothing is decided here: no policy, no database, no store.
"""
