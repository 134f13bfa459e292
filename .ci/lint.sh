# Lints of everything that is built, with every set of features.
set -euo pipefail

cargo clippy --workspace --all-targets -- -D warnings
cargo clippy -p blockyard --all-targets --all-features -- -D warnings
# Tests, examples and benches need an `Allocator` trait; the library does not.
cargo clippy -p blockyard --no-default-features -- -D warnings
# The tool where there is no compiler for the peers.
cargo clippy -p blockyard-cli --all-targets --no-default-features -- -D warnings
# The programs behind `#[global_allocator]`: a workspace of its own.
cargo clippy --manifest-path cli/installed/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}" --all-targets -- -D warnings
