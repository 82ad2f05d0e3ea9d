#!/usr/bin/env bash
# Runs the compose files with the Python of the Python suites, which has kafka-python.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
exec "$("$here/../python/venv.sh")" "$here/run.py" "$@"
