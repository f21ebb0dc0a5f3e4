#!/usr/bin/env bash
# Every shell file of the project parses; where shellcheck is installed, it is content too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

shopt -s nullglob
files=(.ci/run tools/*.sh devstack/*.sh devstack/settings devstack/override-defaults)

for file in "${files[@]}"; do
    bash -n "$file"
done
if command -v shellcheck >/dev/null; then
    shellcheck --shell=bash --external-sources "${files[@]}"
else
    echo "shellcheck is not installed: only the syntax of ${#files[@]} files was checked" >&2
fi
