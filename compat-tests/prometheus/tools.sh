#!/usr/bin/env bash
# Prints the folder that has prometheus and promtool: where they are installed, or else taken out of Debian's package, which is not installed,
# because that would start a service.
set -euo pipefail
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    dirname "$(command -v prometheus)"
    exit
fi
folder="${OTTLA_CACHE:-$HOME/.cache/ottla}/prometheus"
if [ ! -x "$folder/usr/bin/promtool" ]; then
    mkdir -p "$folder"
    cd "$folder"
    apt-get download prometheus >&2
    dpkg-deb --extract prometheus_*.deb . >&2
    rm -f prometheus_*.deb
fi
echo "$folder/usr/bin"
