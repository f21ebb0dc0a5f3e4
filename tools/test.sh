#!/usr/bin/env bash
# Run the tests: tools/test.sh [regular expressions of test names]
#
# Sets up what is missing (Debian packages where the user may, a virtual environment in .venv), runs
# stestr, says which stores, databases and servers took part, and ends with 'N passed, N failed'.
# IMAGEPIPE_TEST_WORKERS sets the number of workers. With CI=true a skipped test counts as failed.
# Without a regular expression the chaos suite follows; IMAGEPIPE_CHAOS_SEED repeats what it did.
set -euo pipefail

# shellcheck source=tools/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

case ${1:-} in
-h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

counted=no
coverage_log=$(mktemp)
at_exit() {
    rm -f "$coverage_log"
    [ "$counted" = yes ] || echo '0 passed, 1 failed'
}
trap at_exit EXIT

prepare_packages test
prepare_venv test
cd "$PROJECT"
export IMAGEPIPE_COVERAGE_LOG=$coverage_log
export PATH=$VENV/bin:$PATH:/usr/sbin:/sbin

# Twice as many as processors: most tests wait for leases and processes, most of the time.
workers=${IMAGEPIPE_TEST_WORKERS:-$((2 * $(nproc)))}
[ "$workers" -ge 2 ] || workers=2
[ "$workers" -le 4 ] || workers=4

# stestr records no run when a test module cannot be imported.
recorded() {
    cat .stestr/next-stream 2>/dev/null || echo none
}

python tools/durations.py seed
before=$(recorded)
status=0
stestr run --concurrency "$workers" "$@" || status=$?
unrecorded=()
if [ "$(recorded)" = "$before" ]; then
    unrecorded=(--unrecorded)
elif [ $# -eq 0 ]; then
    # Processes are killed and leases run out in it: it has the machine to itself. Each commit has its own plan.
    commit=$(git rev-parse --short=7 HEAD 2>/dev/null) || commit=$(date +%j)
    export IMAGEPIPE_CHAOS=1 IMAGEPIPE_CHAOS_SEED=${IMAGEPIPE_CHAOS_SEED:-$((16#$commit))}
    stestr run --combine --concurrency 2 'imagepipe\.tests\.chaos\.' || status=$?
fi
counted=yes
python tools/summary.py --ran "$coverage_log" --status "$status" "${unrecorded[@]}"
