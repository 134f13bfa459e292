# A compiler and make for the peers in C and C++, valgrind, the parts of the toolchain, a lock file that fits.
set -euo pipefail

if ! command -v c++ >/dev/null || ! command -v cc >/dev/null || ! command -v make >/dev/null; then
    apt-get update -q
    apt-get install -yq --no-install-recommends g++ make
fi
# Counts instructions.
command -v valgrind >/dev/null || { apt-get update -q && apt-get install -yq --no-install-recommends valgrind; }
cargo fmt --version || rustup component add rustfmt
cargo clippy --version || rustup component add clippy
rustc --version
cargo metadata --locked --format-version 1 >/dev/null
cargo metadata --locked --format-version 1 --manifest-path cli/installed/Cargo.toml >/dev/null
