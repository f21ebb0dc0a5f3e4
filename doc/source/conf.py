"""Sphinx configuration. Build with: tox -e docs (a warning is an error)."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / '_ext'))

project = 'imagepipe'
copyright = 'imagepipe developers'
language = 'en'

extensions = [
    'openstackdocstheme',
    'calls',
    'custody',
    'error_codes',
    'openapi_document',
]

html_theme = 'openstackdocs'
openstackdocs_repo_name = 'openstack/imagepipe'
openstackdocs_use_storyboard = False
openstackdocs_auto_name = False
openstackdocs_auto_version = False
version = release = ''

highlight_language = 'none'
pygments_style = 'native'
templates_path: list[str] = []
exclude_patterns: list[str] = []
