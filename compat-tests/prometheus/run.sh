#!/usr/bin/env bash
# Has a real Prometheus scrape a broker of its own under real traffic, and asks it what dashboards ask. Ends with "N passed, N failed".
# Needs python3, java and mvn (Kafka, and the JMX exporter beside it) and, where prometheus and promtool are not installed, apt-get. The broker is OTTLA_BIN, or the release build's.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="${OTTLA_CACHE:-$HOME/.cache/ottla}/prometheus-python"
pins="$(sha256sum "$here/requirements.txt" | cut -c1-16)"
if [ "$(cat "$venv/pins" 2>/dev/null || true)" != "$pins" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    echo "$pins" >"$venv/pins"
fi
tools="$("$here/tools.sh")"
PATH="$tools:$PATH" exec "$venv/bin/python" "$here/run.py"
