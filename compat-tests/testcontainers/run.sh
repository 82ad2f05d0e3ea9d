#!/usr/bin/env bash
# Runs the Kafka modules of Testcontainers for four languages, unmodified, with Ottla's image in Kafka's place. A line "LANGUAGE: N passed, N failed" for each;
# exits non-zero when a test failed, was skipped, or none ran.
#
#   run.sh                     all of it, with the image that scripts/image.sh makes from OTTLA_BIN; needs a container engine
#   run.sh python rust         these languages alone
#   OTTLA_IMAGE_NAME=NAME      with an image that is there already
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
HERE="$PWD"
README="$HERE/../../README.md"
CACHE="${OTTLA_CACHE:-$HOME/.cache/ottla}"
# The tag is a version of Confluent's that can do without ZooKeeper, which some modules look for.
IMAGE=ottla:8.0.0
LANGUAGES=("$@")
[ $# -gt 0 ] || LANGUAGES=(python go java rust)

if [ -n "${OTTLA_IMAGE_NAME:-}" ]; then
  docker tag "$OTTLA_IMAGE_NAME" "$IMAGE" || exit 1
else
  ../../scripts/image.sh -t "$IMAGE" || exit 1
fi
# Its image may be out of reach. What it would clean up is cleaned up below.
export TESTCONTAINERS_RYUK_DISABLED=true
# An engine beside this process publishes ports on localhost, also where the modules take the machine for a container and would try its gateway.
if pgrep -x dockerd >/dev/null; then
  export TESTCONTAINERS_HOST_OVERRIDE="${TESTCONTAINERS_HOST_OVERRIDE:-localhost}" TC_HOST="${TC_HOST:-localhost}"
fi
# The module for Java speaks a newer version to engines that may not know it.
DOCKER_API_VERSION="$(docker version --format '{{.Server.APIVersion}}')" || exit 1
export DOCKER_API_VERSION

LOG="$(mktemp)"
clean_up() {
  rm -f "$LOG"
  local left
  left="$(docker ps --all --quiet --filter label=org.testcontainers=true --filter "ancestor=$IMAGE")"
  # shellcheck disable=SC2086
  [ -z "$left" ] || docker rm --force --volumes $left >/dev/null
}
trap clean_up EXIT

# Which of README's lines is a language's, and whether its tests have it.
is_in_readme() {
  local line
  line="$(sed -n '/^## Swap it for Kafka/,/^## Durability/p' "$README" | sed -nE "s/^\| testcontainers[^|]*\($1\) \| \`(.*)\` \|$/\1/p")"
  [ -n "$line" ] && grep -rqF "$line" "$HERE/$1" --include='*.py' --include='*.go' --include='*.java' --include='*.rs' && return
  echo "$1: README's line for it is not what its tests execute: ${line:-there is none}"
  return 1
}

# Prints a language's numbers from the log, as the lines that its runner ends with.
python_tests() {
  local venv="$CACHE/testcontainers-python" pins
  pins="$(sha256sum python/requirements.txt | cut -c1-16)"
  if [ "$(cat "$venv/pins" 2>/dev/null)" != "$pins" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r python/requirements.txt || return 1
    echo "$pins" >"$venv/pins"
  fi
  "$venv/bin/python" -m pytest -q --disable-warnings --tb=short -p no:cacheprovider -rA --show-capture=no python
}
go_tests() { (cd go && go test -count=1 -timeout 180s -v ./...); }
java_tests() {
  rm -rf java/target/surefire-reports
  (cd java && mvn -B -q -Dstyle.color=never test)
  local status=$?
  # Maven is silent about what passed.
  grep -hoE '<testcase name="[^"]*"' java/target/surefire-reports/TEST-*.xml | sed 's/^/TESTCASE /'
  grep -hoE '<(failure|error|skipped)[ >/]' java/target/surefire-reports/TEST-*.xml | sed 's/^/BAD /'
  return "$status"
}
# librdkafka takes minutes to compile: kept apart from the clone, beside that of compat-tests/rust.
rust_tests() {
  (cd rust && CARGO_TARGET_DIR="${OTTLA_RDKAFKA_TARGET_DIR:-$CACHE/rdkafka-target}" cargo test --release --locked --test modules -- --test-threads=2)
}

BAD=0
for language in "${LANGUAGES[@]}"; do
  case "$language" in
    python) tool=python3 passing='^PASSED ' failing='^(FAILED|ERROR|SKIPPED|XFAIL|XPASS) ' ;;
    go) tool=go passing='^--- PASS' failing='^--- (FAIL|SKIP)' ;;
    java) tool=mvn passing='^TESTCASE ' failing='^BAD ' ;;
    rust) tool=cargo passing='^test .* \.\.\. ok$' failing='^test .* \.\.\. (FAILED|ignored)' ;;
    *) echo "there is no language $language; there are: python, go, java, rust"; exit 2 ;;
  esac
  : >"$LOG"
  status=1
  if ! command -v "$tool" >/dev/null; then
    echo "$tool is not installed"
  elif is_in_readme "$language"; then
    "${language}_tests" 2>&1 | tee "$LOG"
    status=${PIPESTATUS[0]}
    # Maven ends its output with codes for the terminal, which would stand before the next line.
    sed -i $'s/\x1b\\[[0-9;]*m//g' "$LOG"
  fi
  passed=$(grep -cE "$passing" "$LOG")
  failed=$(grep -cE "$failing" "$LOG")
  # Java's test cases are counted whether they passed or not.
  [ "$language" != java ] || passed=$((passed - failed))
  if [ "$failed" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi
  [ "$failed" -eq 0 ] || BAD=1
  RESULTS+=("Testcontainers for $language: $passed passed, $failed failed")
done
printf '%s\n' "${RESULTS[@]}"
exit "$BAD"
