"""The service as a WSGI application, for uWSGI, mod_wsgi, and the bundled gunicorn.

`imagepipe.wsgi.api:application` is what a server imports. Importing it opens no
socket, connection, file or thread: servers fork afterwards. Entry points only;
what a request does stands in api and operations.
"""
