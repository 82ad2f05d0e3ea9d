#!/usr/bin/env bash
# Runs rdkafka's tests against the broker at OTTLA_BOOTSTRAP (default 127.0.0.1:9092).
# Arguments go to the test binary (a test's name). Ends with "N passed, N failed"; exits non-zero when a test failed, was ignored, or none ran.
set -uo pipefail
cd "$(dirname "$0")"

for tool in cargo cc c++ make; do
  command -v "$tool" >/dev/null || { echo "$0: '$tool' is not installed"; echo "0 passed, 1 failed"; exit 1; }
done
broker="${OTTLA_BOOTSTRAP:-127.0.0.1:9092}"
(exec 3<>"/dev/tcp/${broker%:*}/${broker##*:}") 2>/dev/null || {
  echo "$0: no broker listens on $broker"
  echo "0 passed, 1 failed"
  exit 1
}

# librdkafka takes minutes to compile: kept apart from the clone, and from the broker's own target folder.
export CARGO_TARGET_DIR="${OTTLA_RDKAFKA_TARGET_DIR:-$HOME/.cache/ottla/rdkafka-target}"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
cargo test --release --locked --test course -- --test-threads=8 "$@" 2>&1 | tee "$log"
cargo_status=${PIPESTATUS[0]}

read -r passed failed ignored < <(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored.*/\1 \2 \3/p' "$log")
passed=${passed:-0}
failed=$((${failed:-0} + ${ignored:-0}))
if [ "$failed" -eq 0 ] && { [ "$cargo_status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
