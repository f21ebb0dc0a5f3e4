"""The release of imagepipe that is installed."""

from pbr import version

INFO = version.VersionInfo('imagepipe')
RELEASE = INFO.release_string()
