#!/usr/bin/env bash
# Every feature alone, every pair of features, none and all: each compiles. cargo-hack, where there is one, does no more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t features < <(sed -n '/^\[features\]/,/^\[dependencies\]/s/^\([a-z][a-z0-9-]*\) = .*/\1/p' Cargo.toml | grep -vx default)

check() {
    echo "features: ${1:-none}"
    cargo check -q -p blockyard --no-default-features --features "$1"
}
check ""
for ((i = 0; i < ${#features[@]}; i++)); do
    check "${features[i]}"
    for ((j = i + 1; j < ${#features[@]}; j++)); do
        check "${features[i]},${features[j]}"
    done
done
cargo check -q -p blockyard --all-features
# The source for systems without mapping calls.
RUSTFLAGS="${RUSTFLAGS:-} --cfg miri" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/portable" cargo check -q -p blockyard
echo "all of them compile"
