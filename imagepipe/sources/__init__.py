"""Where the bytes of an import come from.

Here: the rules for URLs and addresses, and the one fetcher through which every
outgoing fetch on behalf of a tenant goes. This package is the only importer of
an HTTP client. It knows nothing of images, requests, policies or the database,
and no exception text of a library leaves it.
"""
