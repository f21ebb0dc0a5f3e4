"""A node's copies of images: the files, how they are filled, what keeps them below their bound.

A copy that can be opened is whole and has the image's digest. Who may read it, and what the API says
of it, is decided in operations; nothing here knows policy or HTTP.
"""
