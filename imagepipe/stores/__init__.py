"""Where image data lies: the Store contract and its drivers, staging, byte streams, object names.

This is the only package that knows glance_store; its exceptions end here and
become ours. Nothing here knows the database, HTTP requests or flows, and
nothing here decides what an image may be: bytes go in, bytes come out.
"""
