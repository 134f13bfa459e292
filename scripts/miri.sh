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
cut=0
module() {
    local status=0
    echo "== $*"
    interpret "$@" || status=$?
    case $status in
    0) ;;
    124) echo "cut off" && cut=$((cut + 1)) ;;
    *) exit $status ;;
    esac
}
module --lib -- --skip size_class
for name in context:: arena::values arena::scopes fixed_buffer temp:: traits walk::a_walk walk::what_waits \
    layers::fallback layers::segregate layers::locked pool::values pool::what_panics pool::boxes api_04; do
    module --test all -- "$name"
done
echo "nothing found; $cut modules cut off"
