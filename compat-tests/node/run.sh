#!/usr/bin/env bash
# Runs KafkaJS's and @platformatic/kafka's tests against the broker at OTTLA_BOOTSTRAP (default 127.0.0.1:9092).
# Arguments go to node --test (--test-name-pattern=groups). Ends with "N passed, N failed"; exits non-zero when a test failed, was skipped, or none ran.
set -uo pipefail
cd "$(dirname "$0")"

for tool in node npm; do
  command -v "$tool" >/dev/null || { echo "$0: '$tool' is not installed"; echo "0 passed, 1 failed"; exit 1; }
done
broker="${OTTLA_BOOTSTRAP:-127.0.0.1:9092}"
(exec 3<>"/dev/tcp/${broker%:*}/${broker##*:}") 2>/dev/null || {
  echo "$0: no broker listens on $broker"
  echo "0 passed, 1 failed"
  exit 1
}

# Nothing here needs an install script. The lock file decides the versions; npm ci would fetch them anew each time.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || { echo "0 passed, 1 failed"; exit 1; }
fi

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
# The TAP reporter's last lines are the counts; the spec reporter is for people.
timeout 180 node --test --test-concurrency=4 --test-reporter=spec --test-reporter-destination=stdout \
  --test-reporter=tap --test-reporter-destination="$log" "$@" ./*.test.mjs
node_status=$?

count() { sed -nE "s/^# $1 ([0-9]+)$/\1/p" "$log" | tail -1; }
passed=$(count pass)
passed=${passed:-0}
failed=0
for kind in fail cancelled skipped todo; do
  n=$(count "$kind")
  failed=$((failed + ${n:-0}))
done
if [ "$failed" -eq 0 ] && { [ "$node_status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
