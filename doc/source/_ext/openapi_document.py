"""Writes openapi.json beside the pages: the document that a service with default options serves."""

import json
import pathlib

from sphinx.application import Sphinx

from imagepipe import conf
from imagepipe.api import openapi, routes


def write(app: Sphinx, exception: Exception | None) -> None:
    """What Sphinx calls at the end of a build."""
    if exception is None and app.builder.format == 'html':
        target = pathlib.Path(app.outdir) / 'openapi.json'
        target.write_text(json.dumps(openapi.document(routes.ROUTES, conf.new()), indent=1))


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls at the start."""
    app.connect('build-finished', write)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
