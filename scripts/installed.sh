#!/usr/bin/env bash
# Rows behind a real `#[global_allocator]` and real programs, in short, and the tests of what they share. Not in CI: what
# cargo builds for them takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo run --release -- bench --quick --rounds 2 --threads 2 --workload installed-pair-64,installed-larson-n,programs-syn,programs-tokio
cargo test --release --manifest-path cli/installed/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}"
