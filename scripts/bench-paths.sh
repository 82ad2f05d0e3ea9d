#!/usr/bin/env bash
# Counts the instructions of the hot paths (benches/hot_paths) with callgrind, and shows them beside those in benches/counts.json: repeatable where times are not.
# A difference is shown, never an error.
#
#   scripts/bench-paths.sh                     all paths; `scripts/bench-paths.sh fetch` those with "fetch" in their names
#   scripts/bench-paths.sh --update            puts the counts into the file
#   scripts/bench-paths.sh --profile PATH      which functions a path's instructions are spent in
#   scripts/bench-paths.sh --help              the other options
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need python3 python3 || die "python3 is missing"
need valgrind valgrind || die "valgrind is missing; 'cargo bench' measures times without it"
need_build_tools || die "what the build needs is not there"
export PYTHONPATH="$ROOT/scripts${PYTHONPATH:+:$PYTHONPATH}"
exec python3 -m bench.paths "$@"
