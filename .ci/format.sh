# The code is formatted.
set -euo pipefail

cargo fmt --all --check
cargo fmt --check --manifest-path cli/installed/Cargo.toml
