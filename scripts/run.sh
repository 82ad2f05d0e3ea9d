#!/usr/bin/env bash
# Builds Ottla and starts a broker on :9092, after installing what a fresh Debian or Ubuntu lacks for that.
# Arguments go to `ottla serve`: a server.properties file, --override key=value.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_build_tools || die "what the build needs is not there"
say "building (the first time compiles RocksDB, which takes minutes)"
cargo build --release --locked --manifest-path "$ROOT/Cargo.toml"
exec "$TARGET_DIR/release/ottla" serve "$@"
