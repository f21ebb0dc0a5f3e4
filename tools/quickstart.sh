#!/usr/bin/env bash
# Run imagepipe on this machine and import one image: tools/quickstart.sh [PATH or URL of a disk image]
#
# Sets up what is missing (Debian packages where the user may, a virtual environment in .venv), then
# starts the service on 127.0.0.1 and shows the import of the image, or of one made on the spot.
set -euo pipefail

# shellcheck source=tools/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

case ${1:-} in
-h | --help)
    sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

prepare_packages ""
prepare_venv ""
exec "$VENV/bin/imagepipe-standalone" quickstart "$@"
