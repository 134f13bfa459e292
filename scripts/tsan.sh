#!/usr/bin/env bash
# The test suites with ThreadSanitizer: scripts/tsan.sh [arguments of `cargo test`]
# It finds data races in what a run really does, on the real queue and the real locks, which no model drives. The flags are
# unstable, so the stable compiler is told to take them all the same; `std` is compiled along, since its locks and joins
# would be unknown otherwise: that needs the component `rust-src`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
[ -d "$(rustc --print sysroot)/lib/rustlib/src/rust/library" ] || { echo "no sources of std: rustup component add rust-src" >&2; exit 2; }
features=conformance,serde,openmetrics,tracing,backtrace,tlsf,allocator-api2-04
suites=("$@")
[ $# -gt 0 ] || suites=(--no-fail-fast --lib --test all --test process --test global --test soak --test faults
    -- --skip address_space --skip the_system_has_its_memory_back --skip nobody_needs_to_collect --skip the_child_of_many_threads
    --skip an_idle_program_gives_memory_back --skip nobody_needs_more_than_a_little_work)

# Footprints cannot be measured beside shadow memory, nor requests of half the address space served by its allocator. What is
# in scripts/tsan.supp has its reason there.
export TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp halt_on_error=0 allocator_may_return_null=1 ${TSAN_OPTIONS:-}"
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread" RUSTDOCFLAGS="-Zsanitizer=thread" \
    CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_TEST_OPT_LEVEL=1 CARGO_INCREMENTAL=0 \
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/tsan" \
    cargo test -Zbuild-std -p blockyard --features "$features" --target "$host" "${suites[@]}"
