# What quickstart.sh and test.sh share: Debian packages and the virtual environment. Sourced, not run.
# shellcheck shell=bash
#
# Two environment variables are read: PYTHON (an interpreter, 3.11 or newer) and VENV (where the
# virtual environment goes, .venv in the project by default).

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${VENV:-$PROJECT/.venv}

say() {
    printf '%s\n' "$*" >&2
}

give_up() {
    say "$*"
    exit 2
}

# Run a command as root without asking for a password; fails where that is not possible.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -n "$@" 2>/dev/null
    else
        return 1
    fi
}

# The lines of bindep.txt for a profile, as "package<TAB>what goes without it".
wanted_packages() {
    awk -v wanted="${1:-}" '
        /^[a-z0-9]/ {
            package = $1; profile = ""; without = $0
            if (match($0, /\[[^]]*\]/)) {
                profile = substr($0, RSTART + 1, RLENGTH - 2)
                gsub(/platform:[a-z]+/, "", profile); gsub(/ /, "", profile)
            }
            sub(/^[^#]*# */, "", without)
            if (profile == "" || profile == wanted) print package "\t" without
        }' "$PROJECT/bindep.txt"
}

is_installed() {
    dpkg-query --show --showformat='${Status}\n' "$1" 2>/dev/null | grep -q '^install ok installed'
}

missing_packages() {
    local package without
    while IFS=$'\t' read -r package without; do
        is_installed "$package" || printf '%s\t%s\n' "$package" "$without"
    done < <(wanted_packages "$1")
}

# Install packages as root; where one of them is not to be had, the others still are.
apt_install() {
    local name
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null && return 0
    for name in "$@"; do
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$name" >/dev/null || true
    done
}

# Install what bindep.txt names for a profile where the user may; say what is missing where not.
prepare_packages() {
    local missing names package without
    if ! command -v dpkg-query >/dev/null; then
        say "This is not a Debian system; these packages, by their Debian names, are yours to install:" \
            "$(wanted_packages "$1" | cut -f1 | paste -sd' ')"
        return 0
    fi
    missing=$(missing_packages "$1")
    [ -n "$missing" ] || return 0
    mapfile -t names < <(cut -f1 <<<"$missing")
    if as_root true; then
        say "Installing Debian packages: ${names[*]}"
        apt_install "${names[@]}" || true
    fi
    missing=$(missing_packages "$1")
    [ -n "$missing" ] || return 0
    mapfile -t names < <(cut -f1 <<<"$missing")
    say "These Debian packages are missing and this user cannot install them: apt-get install ${names[*]}"
    while IFS=$'\t' read -r package without; do
        say "  without $package: $without"
    done <<<"$missing"
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

make_venv() {
    local python
    [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1 && return 0
    python=$(find_python) || give_up "Python 3.11 is missing: apt-get install python3"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        give_up "Python cannot make a virtual environment: apt-get install python3-venv"
    say "Making the virtual environment $VENV"
    "$python" -m venv --clear "$VENV"
}

# pbr reads the version from git; a tree without git gets the one in setup.cfg.
name_version() {
    if [ -z "${PBR_VERSION:-}" ] && ! git -C "$PROJECT" rev-parse --git-dir >/dev/null 2>&1; then
        PBR_VERSION=$(sed -n 's/^version *= *//p' "$PROJECT/setup.cfg")
        export PBR_VERSION
    fi
}

can_compile() {
    command -v gcc >/dev/null &&
        [ -f "$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
}

# The requirement files of a profile, less what this machine cannot build.
requirements_of() {
    cat "$PROJECT/requirements.txt"
    [ "$1" = test ] || return 0
    if can_compile; then
        cat "$PROJECT/test-requirements.txt"
    else
        say "Without gcc and Python's headers uWSGI is left out (apt-get install gcc libc6-dev python3-dev)."
        grep -iv '^uwsgi' "$PROJECT/test-requirements.txt"
    fi
}

# Install the project and what a profile needs, once per state of the requirement files.
prepare_venv() {
    local profile=$1 stamp now wanted
    make_venv
    stamp=$VENV/imagepipe-${profile:-run}.stamp
    wanted=$VENV/imagepipe-${profile:-run}.txt
    requirements_of "$profile" >"$wanted"
    now=$(cd "$PROJECT" && { pwd; cat "$wanted" setup.cfg pyproject.toml tools/constraints.txt; } | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && return 0
    say "Installing imagepipe and what it needs into $VENV (some minutes, the first time only)"
    name_version
    # The environment variable spares a warning of older pips about uWSGI.
    PIP_USE_PEP517=1 "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$PROJECT/tools/constraints.txt" --requirement "$wanted" --editable "$PROJECT" ||
        give_up "pip could not install the requirements; its message above says which and why."
    printf '%s\n' "$now" >"$stamp"
}
