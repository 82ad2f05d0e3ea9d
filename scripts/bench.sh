#!/usr/bin/env bash
# Measures Ottla beside Apache Kafka 4.3.0 on this machine: the same load, the same guarantees, in turn; prints a table, and leaves JSON and a page with plots in
# bench-results/. Builds Ottla first, unless OTTLA_BIN names a program.
#
#   scripts/bench.sh               what the goals need, within 10 minutes
#   scripts/bench.sh --full        every workload, within an hour
#   scripts/bench.sh --help        the other options
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need python3 python3 || die "python3 is missing"
measures=1
for word in "$@"; do
    case "$word" in --help | -h | --list | --readme* | --report*) measures= ;; esac
done
if [ -n "$measures" ]; then
    if [ -z "${OTTLA_BIN:-}" ]; then
        need_build_tools || die "what the build needs is not there"
        cargo build --release --locked --quiet --manifest-path "$ROOT/Cargo.toml"
    fi
    case " $* " in
        *" --brokers ottla "* | *" --brokers=ottla "*) ;;
        *)
            need java default-jre-headless || die "java is missing; --brokers ottla measures without Kafka"
            need mvn maven || die "mvn is missing; --brokers ottla measures without Kafka"
            ;;
    esac
fi
export OTTLA_BIN="${OTTLA_BIN:-$TARGET_DIR/release/ottla}"
export PYTHONPATH="$ROOT/scripts${PYTHONPATH:+:$PYTHONPATH}"
exec python3 -m bench "$@"
