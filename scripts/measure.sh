#!/usr/bin/env bash
# Prints the figures that Ottla is meant to reach: ready time from an empty folder and after kill -9, idle memory, stop time, creation of
# 2,000 partitions. `--kafka` measures Apache Kafka 4.3.0 beside it (needs java and mvn); `--help` has the rest.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_build_tools || die "what the build needs is not there"
need python3 python3 || die "python3 is missing"
cargo build --release --locked --quiet --manifest-path "$ROOT/Cargo.toml"
OTTLA_BIN="${OTTLA_BIN:-$TARGET_DIR/release/ottla}" exec python3 "$ROOT/scripts/measure.py" "$@"
