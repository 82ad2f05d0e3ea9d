#!/usr/bin/env bash
# Makes the container image from the binary that is built already, and says how large it is above its base.
#
#   scripts/image.sh                   image ottla:latest, from the release build
#   scripts/image.sh -t NAME           under another name
#   OTTLA_BIN=path scripts/image.sh    from this binary
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

NAME=ottla:latest
if [ "${1:-}" = -t ]; then NAME="${2:?-t needs a name}"; fi
BINARY="${OTTLA_BIN:-$TARGET_DIR/release/ottla}"
[ -x "$BINARY" ] || die "there is no $BINARY: build it with cargo build --release, or name one in OTTLA_BIN"

CONTEXT="$(mktemp -d)"
trap 'rm -rf "$CONTEXT"' EXIT
mkdir "$CONTEXT/deploy"
cp -a Dockerfile .dockerignore "$CONTEXT"
cp -a deploy/image "$CONTEXT/deploy/image"
strip -o "$CONTEXT/ottla" "$BINARY" 2>/dev/null || cp "$BINARY" "$CONTEXT/ottla"

# A client without its buildx plug-in cannot speak BuildKit; an older one beside it may.
for client in docker /usr/bin/docker podman; do
    command -v "$client" >/dev/null || continue
    if DOCKER_BUILDKIT=1 "$client" build --help >/dev/null 2>"$CONTEXT/said"; then ENGINE="$client"; break; fi
done
[ -n "${ENGINE:-}" ] || die "no client of a container engine can build here: $(cat "$CONTEXT/said" 2>/dev/null)"
DOCKER_BUILDKIT=1 "$ENGINE" build --quiet --build-arg BINARY=given -t "$NAME" "$CONTEXT" >/dev/null

size() { "$ENGINE" image inspect --format '{{.Size}}' "$1"; }
awk -v image="$(size "$NAME")" -v base="$(size debian:bookworm-slim)" -v name="$NAME" \
    'BEGIN { printf "%s: %.1f MB, %.1f MB above debian:bookworm-slim\n", name, image / 1e6, (image - base) / 1e6 }'
