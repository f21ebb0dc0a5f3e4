"""Handlers of /v2: each turns a request into a call of an operation, and its answer into a response.

A handler is handler(request, services, **names in the path) -> webob.Response, and decides nothing.
"""
