#!/usr/bin/env bash
# Tests in the interpreter Miri: scripts/miri.sh [test filters]
# It finds accesses beyond what a pointer may reach, dangling ones, data races, uninitialised reads, and orderings that
# are too weak, in whatever a test does. Needs a nightly toolchain with `miri` and `rust-src`. Slow: a thousand times and
# more, so without filters it runs the tests below, one module at a time, each for MIRI_SECONDS at most.
#
# With Stacked Borrows, the stricter model; MIRIFLAGS=-Zmiri-tree-borrows for the other. Provenance is strict but for the
# way from a block to the head of its segment (`Segment::of`), whose address is exposed. Memory comes from the system's
# allocator, since Miri maps whole mappings only; what lives as long as the process is not a leak.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks ${MIRIFLAGS:-}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"
toolchain=${MIRI_TOOLCHAIN:-nightly}

interpret() { timeout "${MIRI_SECONDS:-3600}" cargo "+$toolchain" miri test -q -p blockyard --features allocator-api2-04,conformance "$@"; }
if [ $# -gt 0 ]; then
    interpret --test all -- "$@"
    exit
fi
interpret --lib -- --skip size_class
for module in arena::values arena::scopes fixed_buffer context:: temp:: traits walk::a_walk walk::what_waits \
    layers::fallback layers::segregate layers::locked pool::values pool::what_panics pool::boxes api_04; do
    echo "== $module"
    interpret --test all -- "$module" || { status=$?; [ $status -ne 124 ] || echo "cut off"; [ $status -eq 124 ] || exit $status; }
done
