#!/usr/bin/env bash
# Makes the container image from the binary that is built already, and says how large it is above its base.
#
#   scripts/image.sh                   image ottla:latest, from the release build
#   scripts/image.sh -t NAME           under another name
#   scripts/image.sh --measure [-t NAME]   makes nothing: prints the size, and the time from the container's start to the broker's readiness, of five starts
#   OTTLA_BIN=path scripts/image.sh    from this binary
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

NAME=ottla:latest
BASE=debian:bookworm-slim
MEASURE=
while [ $# -gt 0 ]; do
    case "$1" in
        -t) NAME="${2:?-t needs a name}"; shift 2 ;;
        --measure) MEASURE=1; shift ;;
        *) die "$1 is not an option; there are -t NAME and --measure" ;;
    esac
done

# A client without its buildx plug-in cannot speak BuildKit; an older one beside it may.
ENGINE=
for client in docker /usr/bin/docker podman; do
    command -v "$client" >/dev/null || continue
    if DOCKER_BUILDKIT=1 "$client" build --help >/dev/null 2>&1; then ENGINE="$client"; break; fi
done
[ -n "$ENGINE" ] || die "there is no client of a container engine that can build here (docker with buildx, or podman)"

size() { "$ENGINE" image inspect --format '{{.Size}}' "$1"; }

print_size() {
    awk -v image="$(size "$NAME")" -v base="$(size "$BASE")" -v name="$NAME" -v of="$BASE" \
        'BEGIN { printf "%s: %.1f MB, %.1f MB above %s\n", name, image / 1e6, (image - base) / 1e6, of }'
}

# From when the engine says that the container's process began to the line that tells of readiness, by the engine's clock.
ready_ms() {
    local container begun ready
    container="$("$ENGINE" run --detach "$NAME")"
    until "$ENGINE" logs "$container" 2>/dev/null | grep -q 'Kafka Server started'; do sleep 0.05; done
    begun="$("$ENGINE" inspect --format '{{.State.StartedAt}}' "$container")"
    ready="$("$ENGINE" logs --timestamps "$container" 2>/dev/null | grep 'Kafka Server started' | cut -d' ' -f1)"
    "$ENGINE" rm --force --volumes "$container" >/dev/null
    echo "$((($(date -d "$ready" +%s%N) - $(date -d "$begun" +%s%N)) / 1000000))"
}

if [ -n "$MEASURE" ]; then
    print_size
    for _ in 1 2 3 4 5; do ready_ms; done | sort -n | awk '{ all = all " " $1; at[NR] = $1 } END { printf "ready after the start of the container, ms:%s; median %d\n", all, at[3] }'
    exit
fi

BINARY="${OTTLA_BIN:-$TARGET_DIR/release/ottla}"
[ -x "$BINARY" ] || die "there is no $BINARY: build it with cargo build --release, or name one in OTTLA_BIN"
CONTEXT="$(mktemp -d)"
trap 'rm -rf "$CONTEXT"' EXIT
mkdir "$CONTEXT/deploy"
cp -a Dockerfile .dockerignore "$CONTEXT"
cp -a deploy/image "$CONTEXT/deploy/image"
strip -o "$CONTEXT/ottla" "$BINARY" 2>/dev/null || cp "$BINARY" "$CONTEXT/ottla"
DOCKER_BUILDKIT=1 "$ENGINE" build --quiet --build-arg BINARY=given -t "$NAME" "$CONTEXT" >/dev/null
print_size
