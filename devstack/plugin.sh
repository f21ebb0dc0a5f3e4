#!/usr/bin/env bash
# The devstack plugin: imagepipe's API under uWSGI and its conductor, in the place of Glance.
#
# In local.conf:
#
#     [[local|localrc]]
#     enable_plugin imagepipe URL_OF_THIS_REPOSITORY
#
# devstack sources this file once for each phase, with the phase in $1 and $2. The functions that it
# calls and does not define are devstack's.
# shellcheck disable=SC2154

function install_imagepipe {
    setup_develop "$IMAGEPIPE_DIR"
    pip_install uwsgi
}

# A source URL may hold a signature, so it is stored encrypted. A key from an earlier run stays.
function create_imagepipe_keys {
    local keys=$IMAGEPIPE_CONF_DIR/secrets.keys
    if [[ ! -s "$keys" ]]; then
        (umask 077 && head -c 32 /dev/urandom | base64 | tr '+/' '-_' >"$keys")
    fi
    iniset "$IMAGEPIPE_CONF" secrets key_file "$keys"
}

function configure_imagepipe_stores {
    local store enabled=
    for store in ${IMAGEPIPE_STORES//,/ }; do
        enabled+=${enabled:+,}$store:file
        sudo install -d -o "$STACK_USER" "$IMAGEPIPE_DATA_DIR/$store"
        iniset "$IMAGEPIPE_CONF" "$store" filesystem_store_datadir "$IMAGEPIPE_DATA_DIR/$store"
    done
    iniset "$IMAGEPIPE_CONF" DEFAULT enabled_backends "$enabled"
    iniset "$IMAGEPIPE_CONF" glance_store default_backend "${IMAGEPIPE_STORES%%,*}"
}

function configure_imagepipe_uwsgi {
    rm -f "$IMAGEPIPE_UWSGI_CONF"
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi module imagepipe.wsgi.api:application
    # http-socket and not the http router: no second process stands between Apache and the workers, and the
    # workers see a chunked body as it comes.
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi http-socket "127.0.0.1:$IMAGEPIPE_API_PORT"
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi env "OS_IMAGEPIPE_CONFIG_DIR=$IMAGEPIPE_CONF_DIR"
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi master true
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi die-on-term true
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi enable-threads true
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi processes "$IMAGEPIPE_API_PROCESSES"
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi threads "$IMAGEPIPE_API_THREADS"
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi thunder-lock true
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi buffer-size 65535
    # The largest chunk of an upload; uWSGI's own 1 MiB breaks off clients that send larger ones.
    iniset "$IMAGEPIPE_UWSGI_CONF" uwsgi chunked-input-limit 67108864
}

function configure_imagepipe_apache {
    enable_apache_mod proxy
    enable_apache_mod proxy_http
    sudo tee "$(apache_site_config_for imagepipe-api)" >/dev/null <<SITE
ProxyPass "/image" "http://127.0.0.1:$IMAGEPIPE_API_PORT" retry=0
SITE
    enable_apache_site imagepipe-api
}

function configure_imagepipe {
    sudo install -d -o "$STACK_USER" "$IMAGEPIPE_CONF_DIR"
    sudo install -d -o "$STACK_USER" "$IMAGEPIPE_DATA_DIR" "$IMAGEPIPE_DATA_DIR/staging"
    rm -f "$IMAGEPIPE_CONF"
    cp "$IMAGEPIPE_DIR/etc/imagepipe/policy.yaml.sample" "$IMAGEPIPE_POLICY"

    iniset "$IMAGEPIPE_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$IMAGEPIPE_CONF" DEFAULT public_endpoint "$IMAGEPIPE_URL"
    iniset "$IMAGEPIPE_CONF" database connection "$(database_connection_url imagepipe)"
    iniset "$IMAGEPIPE_CONF" oslo_policy policy_file "$IMAGEPIPE_POLICY"
    iniset "$IMAGEPIPE_CONF" oslo_messaging_notifications driver messagingv2
    iniset "$IMAGEPIPE_CONF" staging path "$IMAGEPIPE_DATA_DIR/staging"
    if [[ -n "$IMAGEPIPE_FETCH_ALLOW" ]]; then
        iniset "$IMAGEPIPE_CONF" import_filtering_opts allowed_networks "$IMAGEPIPE_FETCH_ALLOW"
    fi
    iniset_rpc_backend imagepipe "$IMAGEPIPE_CONF"
    configure_keystone_authtoken_middleware "$IMAGEPIPE_CONF" glance
    configure_imagepipe_stores
    create_imagepipe_keys
    setup_logging "$IMAGEPIPE_CONF"
    configure_imagepipe_uwsgi
    configure_imagepipe_apache
}

# The names are Glance's: other services look for the service type, and for its user in their own settings.
function create_imagepipe_accounts {
    create_service_user glance
    get_or_create_service glance image "Image service"
    get_or_create_endpoint image "$REGION_NAME" "$IMAGEPIPE_URL"
}

function init_imagepipe {
    recreate_database imagepipe
    "$IMAGEPIPE_BIN_DIR/imagepipe-manage" --config-file "$IMAGEPIPE_CONF" db sync
    "$IMAGEPIPE_BIN_DIR/imagepipe-manage" --config-file "$IMAGEPIPE_CONF" db load_metadefs \
        --path "$IMAGEPIPE_DIR/etc/imagepipe/metadefs"
}

function start_imagepipe {
    restart_apache_server
    run_process imagepipe-api \
        "$IMAGEPIPE_BIN_DIR/uwsgi --procname-prefix imagepipe-api --ini $IMAGEPIPE_UWSGI_CONF"
    run_process imagepipe-conductor "$IMAGEPIPE_BIN_DIR/imagepipe-conductor --config-file $IMAGEPIPE_CONF"
    if ! wait_for_service "$SERVICE_TIMEOUT" "$IMAGEPIPE_URL/healthcheck"; then
        die $LINENO "imagepipe-api did not start"
    fi
}

# stack.sh does this itself only for Glance.
function upload_imagepipe_images {
    local url
    for url in ${IMAGE_URLS//,/ }; do
        upload_image "$url"
    done
}

function configure_imagepipe_tempest {
    iniset "$TEMPEST_CONFIG" service_available glance True
    iniset "$TEMPEST_CONFIG" image-feature-enabled import_image True
}

function stop_imagepipe {
    stop_process imagepipe-api
    stop_process imagepipe-conductor
}

function cleanup_imagepipe {
    disable_apache_site imagepipe-api
    sudo rm -f "$(apache_site_config_for imagepipe-api)"
    sudo rm -rf "$IMAGEPIPE_CONF_DIR" "$IMAGEPIPE_DATA_DIR"
}

if is_service_enabled imagepipe-api; then
    IMAGEPIPE_BIN_DIR=$(get_python_exec_prefix)
    case "$1 ${2:-}" in
    "stack install")
        echo_summary "Installing imagepipe"
        install_imagepipe
        ;;
    "stack post-config")
        echo_summary "Configuring imagepipe"
        configure_imagepipe
        create_imagepipe_accounts
        init_imagepipe
        ;;
    "stack extra")
        echo_summary "Starting imagepipe"
        start_imagepipe
        upload_imagepipe_images
        ;;
    "stack test-config")
        if is_service_enabled tempest; then
            configure_imagepipe_tempest
        fi
        ;;
    "unstack "*)
        stop_imagepipe
        ;;
    "clean "*)
        cleanup_imagepipe
        ;;
    esac
fi
