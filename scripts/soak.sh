#!/usr/bin/env bash
# Runs everything at once for a while (tests/soak): scripts/soak.sh SECONDS [SEED]
# Prints a line per minute. Status 0 if all held; otherwise the seed, the worker and its step are on standard error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -ge 1 ] || { echo "usage: scripts/soak.sh SECONDS [SEED]" >&2; exit 2; }

export BLOCKYARD_SOAK_SECONDS=$1 BLOCKYARD_SOAK_SEED=${2:-$(date +%s)}
# With the library's own checks, optimised.
CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=${SOAK_CHECKS:-true} CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/soak" \
    cargo test -q -p blockyard --release --test soak -- --nocapture
