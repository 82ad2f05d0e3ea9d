#!/usr/bin/env bash
# Runs franz-go's and sarama's tests against the broker at OTTLA_BOOTSTRAP (default 127.0.0.1:9092).
# Arguments go to go test (-run TestGroups). Ends with "N passed, N failed"; exits non-zero when a test failed, was skipped, or none ran.
set -uo pipefail
cd "$(dirname "$0")"

command -v go >/dev/null || { echo "$0: 'go' is not installed"; echo "0 passed, 1 failed"; exit 1; }
broker="${OTTLA_BOOTSTRAP:-127.0.0.1:9092}"
(exec 3<>"/dev/tcp/${broker%:*}/${broker##*:}") 2>/dev/null || {
  echo "$0: no broker listens on $broker"
  echo "0 passed, 1 failed"
  exit 1
}

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
go test -count=1 -timeout 180s -v "$@" ./... 2>&1 | tee "$log" | grep -vE '^=== (RUN|PAUSE|CONT|NAME)|no test files'
go_status=${PIPESTATUS[0]}

passed=$(grep -c '^--- PASS' "$log")
failed=$(grep -cE '^--- (FAIL|SKIP)' "$log")
# A package that does not build, or a run that times out, has no line of its own.
if [ "$failed" -eq 0 ] && { [ "$go_status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
