#!/usr/bin/env bash
# Runs every test there is, after installing what is missing: format, lints, dependencies, Rust tests, then each client's suite against a broker
# that is started for it in a temporary folder. Nothing is skipped silently: a part that cannot run is named in the last lines, and fails the run
# when CI is set. The last line is "N passed, N failed".
#
#   scripts/test.sh                 everything
#   scripts/test.sh rust go python  these parts only; `scripts/test.sh --list` names them
#   OTTLA_BIN=path scripts/test.sh go   with a binary that is there, instead of building one
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT" || exit 1

# Parts that may be missing in CI, each with its reason.
declare -A MAY_BE_MISSING=(
    [advisories]="the advisory database is a download of its own, which some networks refuse"
    [compose]="it needs a container engine, which not every machine has"
    [testcontainers]="it needs a container engine, which not every machine has"
)

SUITE_TIMEOUT=1200
LOGS="$(mktemp -d)"
trap 'rm -rf "$LOGS"' EXIT
PASSED=0
FAILED=0
NOTES=()
MISSING=()

# Adds a part's numbers and says how it went.
count() {
    local part="$1" passed="$2" failed="$3"
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    NOTES+=("$(printf '%-12s %s passed, %s failed (%s s)' "$part" "$passed" "$failed" "$((SECONDS - STARTED))")")
}

missing() {
    local part="$1" why="$2"
    MISSING+=("$part did not run: $why")
    [ -n "${CI:-}" ] && [ -z "${MAY_BE_MISSING[$part]:-}" ] && FAILED=$((FAILED + 1))
    return 0
}

# One command that passes or fails as a whole.
check() {
    local part="$1"
    shift
    if "$@"; then count "$part" 1 0; else count "$part" 0 1; fi
}

part_format() { check format cargo fmt --check; }

part_lints() { check lints cargo clippy --release --locked --all-targets -- -D warnings; }

part_dependencies() {
    local tools="${OTTLA_CACHE:-$HOME/.cache/ottla}/tools"
    PATH="$tools/bin:$PATH"
    # Not in the target folder of Ottla, whose build it would wait for.
    if ! has cargo-deny && ! CARGO_TARGET_DIR="$tools/target" cargo install cargo-deny --locked --quiet --root "$tools"; then
        missing dependencies "cargo-deny is not there and cannot be installed"
        return
    fi
    rm -rf "$tools/target"
    check dependencies cargo deny --locked check licenses bans sources
}

# The measurement's own tests, and a measurement of a second or two that checks its report, not its figures. Kafka takes part where its jars can be had.
# Then every hot path once (`cargo bench`), and where valgrind is there, one of them counted: no figure is held to anything.
part_bench() {
    local status passed failed
    need python3 python3 >"$LOGS/tool" 2>&1 || { missing bench "$(tail -n 1 "$LOGS/tool")"; return; }
    need java default-jdk-headless >/dev/null 2>&1 || true
    need mvn maven >/dev/null 2>&1 || true
    PYTHONPATH=scripts timeout --kill-after=30 "$SUITE_TIMEOUT" python3 -m bench.tests 2>&1 | tee "$LOGS/bench"
    status=${PIPESTATUS[0]}
    read -r passed failed < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$LOGS/bench" | tail -n 1)
    passed=${passed:-0} failed=${failed:-0}
    if [ "$failed" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi
    count bench "$passed" "$failed"
    STARTED=$SECONDS
    check "hot paths" cargo bench --locked --quiet --bench hot_paths -- --once
    if has valgrind; then
        STARTED=$SECONDS
        check "hot paths counted" scripts/bench-paths.sh produce-decode
    fi
}

part_advisories() {
    PATH="${OTTLA_CACHE:-$HOME/.cache/ottla}/tools/bin:$PATH"
    has cargo-deny || { missing advisories "cargo-deny is not there"; return; }
    cargo deny --locked fetch db >"$LOGS/advisories" 2>&1 || { missing advisories "the advisory database cannot be fetched"; return; }
    check advisories cargo deny --locked check advisories
}

part_rust() {
    local status passed failed
    cargo test --release --locked 2>&1 | tee "$LOGS/rust"
    status=${PIPESTATUS[0]}
    passed=$(sed -nE 's/^test result: .* ([0-9]+) passed;.*/\1/p' "$LOGS/rust" | awk '{sum += $1} END {print sum + 0}')
    # A test that is ignored did not pass.
    failed=$(sed -nE 's/^test result: .* ([0-9]+) failed; ([0-9]+) ignored.*/\1 \2/p' "$LOGS/rust" | awk '{sum += $1 + $2} END {print sum + 0}')
    if [ "$failed" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi
    count rust "$passed" "$failed"
    # The test says so and ends well, because cargo's runner knows no other way; here it is named, and fails CI.
    [ "$(id -u)" -eq 0 ] || missing full-disk "it mounts a small file system, for which it needs root"
}

# The tools of a client's suite: part, then for each tool its name and the packages that have it, separated by commas.
suite_tools() {
    case "$1" in
        java | java-old | spring) echo java,default-jdk-headless mvn,maven python3,python3 ;;
        go) echo go,golang-go ;;
        node*) echo node,nodejs npm,npm ;;
        python | compose) echo python3,python3 ;;
        testcontainers) echo python3,python3 go,golang-go java,default-jdk-headless mvn,maven make,make pgrep,procps ;;
        oracle | tools | prometheus) echo python3,python3 java,default-jdk-headless mvn,maven ;;
        rust-client) echo make,make ;;
    esac
}

# A suite below compat-tests. One with a run.sh gets a broker and OTTLA_BOOTSTRAP; the others start their brokers themselves.
part_suite() {
    local part="$1" folder="$2" tool status passed failed
    for tool in $(suite_tools "$part") python3,python3; do
        # shellcheck disable=SC2086
        need ${tool//,/ } >"$LOGS/tool" 2>&1 || { missing "$part" "$(tail -n 1 "$LOGS/tool")"; return; }
    done
    case "$part" in
        python | prometheus | compose | testcontainers)
            python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv >/dev/null || { missing "$part" "python3-venv is missing"; return; }
            ;;
    esac
    if [ "$part" = prometheus ]; then
        "$folder/tools.sh" >/dev/null 2>"$LOGS/tool" || { missing prometheus "prometheus and promtool are not installed, and Debian's package cannot be had"; return; }
    fi
    local with_broker=(python3 compat-tests/oracle/brokers.py ottla)
    case "$part" in
        python)
            set -- "$("$folder/venv.sh")" "$folder/run.py" --with ottla
            ;;
        oracle) set -- "$folder/compare" --start ;;
        prometheus) set -- "$folder/run.sh" ;;
        compose | testcontainers)
            docker info >/dev/null 2>&1 || { missing "$part" "no container engine answers"; return; }
            set -- "$folder/run.sh"
            ;;
        tools) set -- "$folder/compare" ;;
        *) set -- "${with_broker[@]}" -- "$folder/run.sh" ;;
    esac
    timeout --kill-after=30 "$SUITE_TIMEOUT" "$@" 2>&1 | tee "$LOGS/$part"
    status=${PIPESTATUS[0]}
    # Each client's own line, "N passed, N failed" at the end of it.
    read -r passed failed < <(sed 's/\x1b\[[0-9;]*m//g' "$LOGS/$part" | sed -nE 's/^(.*: )?([0-9]+) passed, ([0-9]+) failed.*/\2 \3/p' |
        awk '{passed += $1; failed += $2} END {print passed + 0, failed + 0}')
    [ "$status" -eq 124 ] && echo "$part took longer than $SUITE_TIMEOUT s"
    if [ "$status" -eq 0 ] && [ "$passed" -eq 0 ] && [ "$part" = oracle ]; then passed=1; fi
    if [ "$failed" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi
    count "$part" "$passed" "$failed"
}

# Part names of the suites: the folder's name, but for the Rust client, which would be taken for Ottla's own tests.
suites() {
    local folder name
    for folder in compat-tests/*/; do
        name="$(basename "$folder")"
        [ -e "$folder/run.sh" ] || [[ "$name" =~ ^(python|oracle|tools)$ ]] || continue
        [ "$name" = rust ] && name=rust-client
        echo "$name"
    done
}

ALL=(format lints dependencies advisories rust bench)
mapfile -t -O "${#ALL[@]}" ALL < <(suites)

if [ "${1:-}" = --list ]; then
    printf '%s\n' "${ALL[@]}"
    exit 0
fi
WANTED=("$@")
[ "${#WANTED[@]}" -eq 0 ] && WANTED=("${ALL[@]}")
for part in "${WANTED[@]}"; do
    [[ " ${ALL[*]} " == *" $part "* ]] || die "there is no part $part; there are: ${ALL[*]}"
done

STARTED=$SECONDS
if ! need_build_tools; then
    echo "0 passed, 1 failed"
    exit 1
fi
if [ -z "${OTTLA_BIN:-}" ]; then
    say "build"
    if ! cargo build --release --locked; then
        echo "the build failed"
        echo "0 passed, 1 failed"
        exit 1
    fi
    OTTLA_BIN="$TARGET_DIR/release/ottla"
fi
export OTTLA_BIN
NOTES+=("$(printf '%-12s done (%s s)' 'tools, build' "$((SECONDS - STARTED))")")

for part in "${WANTED[@]}"; do
    STARTED=$SECONDS
    say "$part"
    case "$part" in
        format | lints | dependencies | advisories | rust | bench) "part_$part" ;;
        rust-client) part_suite rust-client compat-tests/rust ;;
        *) part_suite "$part" "compat-tests/$part" ;;
    esac
done

say "summary"
printf '%s\n' "${NOTES[@]}"
for line in "${MISSING[@]}"; do echo "$line"; done
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ]
