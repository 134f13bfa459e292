# The loom models of the lock-free protocols. The flag is for every crate, hence a target folder of its own.
set -euo pipefail

RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
    cargo test -p blockyard --lib --release
