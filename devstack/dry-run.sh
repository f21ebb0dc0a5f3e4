#!/usr/bin/env bash
# Run phases of the plugin with devstack's functions replaced by recorders: dry-run.sh DIRECTORY PHASE...
#
# A phase is 'stack install', 'stack post-config', 'stack extra', 'stack test-config', 'unstack' or 'clean'.
# Every call is printed as a line, under a line with its phase. Files go into DIRECTORY, nothing is installed or
# started. The tests read the output.
# shellcheck disable=SC2034
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$1
shift

# What stack.sh has set when it comes to plugins.
DEST=$ROOT/dest
DATA_DIR=$ROOT/data
STACK_USER=stack
SERVICE_PROTOCOL=http
SERVICE_HOST=192.0.2.1
SERVICE_TIMEOUT=60
REGION_NAME=RegionOne
ENABLE_DEBUG_LOG_LEVEL=True
IMAGE_URLS=${IMAGE_URLS:-http://192.0.2.2/a.qcow2,http://192.0.2.2/b.img}
TEMPEST_CONFIG=$ROOT/tempest.conf
ENABLED_SERVICES=${ENABLED_SERVICES:-key,rabbit,mysql,g-api,n-api,tempest}
IMAGEPIPE_DIR=$(dirname "$HERE")
IMAGEPIPE_CONF_DIR=$ROOT/etc
mkdir -p "$IMAGEPIPE_CONF_DIR"

# Calls go to the real standard output even from within $(...) and redirections.
exec 3>&1
record() {
    echo "$*" >&3
}

for name in setup_develop pip_install iniset_rpc_backend configure_keystone_authtoken_middleware setup_logging \
    enable_apache_mod enable_apache_site disable_apache_site restart_apache_server create_service_user \
    get_or_create_service get_or_create_endpoint recreate_database run_process stop_process upload_image \
    echo_summary define_plugin; do
    eval "$name() { record $name \"\$@\"; }"
done

iniset() {
    record iniset "$(basename "$1")" "${@:2}"
}

sudo() {
    record sudo "$@"
    [ "$1" != tee ] || cat >"$2"
}

wait_for_service() {
    record wait_for_service "$@"
    [ -z "${API_DOES_NOT_START:-}" ]
}

die() {
    record die "${@:2}"
    exit 1
}

enable_service() {
    record enable_service "$@"
    local service
    for service in "$@"; do
        ENABLED_SERVICES+=,$service
    done
}

disable_service() {
    record disable_service "$@"
    local service
    for service in "$@"; do
        ENABLED_SERVICES=$(tr ',' '\n' <<<"$ENABLED_SERVICES" | grep -vx "$service" | paste -sd,)
    done
}

is_service_enabled() {
    [[ ,$ENABLED_SERVICES, == *,$1,* ]]
}

database_connection_url() {
    echo "mysql+pymysql://root:secret@127.0.0.1/$1?charset=utf8"
}

apache_site_config_for() {
    echo "$ROOT/$1.conf"
}

# The console commands of the virtual environment, as recorders.
get_python_exec_prefix() {
    echo "$ROOT/bin"
}
mkdir -p "$ROOT/bin"
printf '#!/bin/sh\necho imagepipe-manage "$@" >&3\n' >"$ROOT/bin/imagepipe-manage"
chmod +x "$ROOT/bin/imagepipe-manage"

echo "== settings"
# shellcheck source=devstack/override-defaults
source "$HERE/override-defaults"
# shellcheck source=devstack/settings
source "$HERE/settings"
for phase in "$@"; do
    echo "== $phase"
    # shellcheck source=devstack/plugin.sh disable=SC2086
    source "$HERE/plugin.sh" $phase
done
echo "== services $ENABLED_SERVICES"
