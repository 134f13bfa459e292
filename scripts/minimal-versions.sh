#!/usr/bin/env bash
# The library with the oldest version that Cargo.toml allows of each crate it names: it compiles, with every feature alone
# and with all, and its unit tests pass. What those crates ask for in turn is resolved as ever. The option is unstable, so
# the stable compiler is told to take it all the same; it works on a copy, whose lock file it may write.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TARGET_DIR="$(realpath -m "${CARGO_TARGET_DIR:-target}")/minimal"
copy="$CARGO_TARGET_DIR/copy"
rm -rf "$copy"
mkdir -p "$copy"
# The library alone, without tests in folders of their own and what they need: users get none of that.
cp -r src README.md docs "$copy"
sed -e '/^\[workspace\]$/,/^$/{/^members\|^default-members/d}' -e '/^\[dev-dependencies\]$/,/^$/d' \
    -e '/^\[\[bench\]\]$/,/^$/d' -e '/^\[\[example\]\]$/,/^$/d' Cargo.toml >"$copy/Cargo.toml"
cd "$copy"
RUSTC_BOOTSTRAP=1 cargo update -q -Z direct-minimal-versions
cargo tree -p blockyard --all-features --depth 1 -e normal
mapfile -t features < <(sed -n '/^\[features\]/,/^\[dependencies\]/s/^\([a-z][a-z0-9-]*\) = .*/\1/p' Cargo.toml | grep -vx default)
cargo check -q -p blockyard --no-default-features
for feature in "${features[@]}"; do
    cargo check -q -p blockyard --no-default-features --features "$feature"
done
cargo test -q -p blockyard --lib --all-features
echo "the oldest versions do"
