"""JSON schemas: the documents of /v2/schemas, and the checks of what clients send.

A validator is compiled once for the formats that are configured.
"""
