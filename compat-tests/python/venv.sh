#!/usr/bin/env bash
# Makes (once per set of pins) the virtual environment of the Python suites and prints the path of its python.
# Usage: "$(compat-tests/python/venv.sh)" -m pytest ...
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="${OTTLA_CACHE:-$HOME/.cache/ottla}/python-compat"
pins="$(sha256sum "$here/requirements.txt" | cut -c1-16)"
if [ "$(cat "$venv/pins" 2>/dev/null || true)" != "$pins" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    echo "$pins" > "$venv/pins"
fi
echo "$venv/bin/python"
