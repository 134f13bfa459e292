# A compiler and make for the peers in C and C++, the parts of the toolchain, a lock file that fits.
set -euo pipefail

if ! command -v c++ >/dev/null || ! command -v cc >/dev/null || ! command -v make >/dev/null; then
    apt-get update -q
    apt-get install -yq --no-install-recommends g++ make
fi
cargo fmt --version || rustup component add rustfmt
cargo clippy --version || rustup component add clippy
rustc --version
cargo metadata --locked --format-version 1 >/dev/null
