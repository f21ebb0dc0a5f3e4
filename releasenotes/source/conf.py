"""Sphinx configuration of the release notes. Build with: tox -e releasenotes."""

project = 'imagepipe release notes'
copyright = 'imagepipe developers'
language = 'en'
version = release = ''

extensions = [
    'openstackdocstheme',
    'reno.sphinxext',
]

html_theme = 'openstackdocs'
openstackdocs_repo_name = 'openstack/imagepipe'
openstackdocs_use_storyboard = False
openstackdocs_auto_name = False
openstackdocs_auto_version = False
