#!/usr/bin/env bash
# Runs this folder's JUnit suite against the broker at OTTLA_BOOTSTRAP (default 127.0.0.1:9092).
# Arguments go to Maven (-Dtest=ConsumerTest runs one class). Ends with "N passed, N failed"; exits non-zero when a test failed, was skipped, or none ran.
set -uo pipefail
cd "$(dirname "$0")"

for tool in java mvn python3; do
  command -v "$tool" >/dev/null || { echo "$0: '$tool' is not installed"; echo "0 passed, 1 failed"; exit 1; }
done

broker="${OTTLA_BOOTSTRAP:-127.0.0.1:9092}"
(exec 3<>"/dev/tcp/${broker%:*}/${broker##*:}") 2>/dev/null || {
  echo "$0: no broker listens on $broker"
  echo "0 passed, 1 failed"
  exit 1
}

rm -rf target/surefire-reports
# Maven ends its output with codes for the terminal, which would stand before the last line.
mvn -B -q -Dstyle.color=never test "$@" 2>&1 | sed $'s/\x1b\\[[0-9;]*m//g'
maven_status=${PIPESTATUS[0]}

# Maven's own exit code says nothing about tests that were skipped, so the reports are counted.
python3 - "$maven_status" <<'PY'
import glob, sys
import xml.etree.ElementTree as xml

total = bad = 0
for path in glob.glob("target/surefire-reports/TEST-*.xml"):
    suite = xml.parse(path).getroot()
    total += int(suite.get("tests"))
    bad += sum(int(suite.get(kind)) for kind in ("failures", "errors", "skipped"))
if bad == 0 and (total == 0 or sys.argv[1] != "0"):
    bad = 1
    total = max(total, 1)
print(f"{total - bad} passed, {bad} failed")
sys.exit(bad != 0)
PY
