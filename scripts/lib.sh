# What the scripts share: where things are, and how missing tools are installed on Debian and Ubuntu. Sourced, never run.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# RocksDB takes long to compile: with CI set, the target folder is kept outside the clone, so that it is compiled once per machine.
if [ -n "${CI:-}" ]; then
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/ottla/target}"
fi
TARGET_DIR="${CARGO_TARGET_DIR:-$ROOT/target}"

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages, when there is a way to.
apt_install() {
    has apt-get || { echo "there is no apt-get to install $* with"; return 1; }
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo && sudo -n true 2>/dev/null || { echo "installing $* needs root: run 'sudo apt-get install $*'"; return 1; }
        as_root=(sudo -n)
    fi
    if [ -z "${APT_UPDATED:-}" ]; then
        "${as_root[@]}" apt-get update -qq >/dev/null || return 1
        APT_UPDATED=1
    fi
    say "installing $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# A tool, from the first of these packages that can be installed.
need() {
    local tool="$1" package
    shift
    has "$tool" && return 0
    for package in "$@"; do
        apt_install "$package" && has "$tool" && return 0
    done
    echo "$tool is missing and cannot be installed here"
    return 1
}

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || ldconfig -p 2>/dev/null | grep -q 'libclang[-.0-9]*\.so' || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null
}

# A Rust toolchain that is new enough for Cargo.toml's rust-version.
need_rust() {
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    local wanted have
    wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")"
    if has cargo; then
        have="$(cargo --version | cut -d' ' -f2)"
        [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] && return 0
        has rustup || { echo "cargo $have is older than $wanted, and there is no rustup to update it with"; return 1; }
        rustup update stable && rustup default stable
        return
    fi
    say "installing Rust"
    if ! has rustup && ! apt_install rustup; then
        need curl curl && apt_install ca-certificates || return 1
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c rustfmt -c clippy || return 1
        . "$HOME/.cargo/env"
    fi
    has cargo || rustup default stable
    has cargo
}

# All that `cargo build` needs: Rust, a C++ compiler for RocksDB and libclang for its bindings.
need_build_tools() {
    need_rust || return 1
    need cc gcc || return 1
    need c++ g++ || return 1
    need make make || return 1
    has_libclang || apt_install libclang-dev || { echo "libclang is missing (RocksDB's bindings are made with it)"; return 1; }
}
