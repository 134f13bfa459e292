#!/usr/bin/env bash
# The test suites with AddressSanitizer: scripts/asan-tests.sh [arguments of `cargo test`]
# It sees what goes wrong outside of our blocks: records, queues, tables, the tests' own memory; and mappings that are
# used after they were given back. The flag is unstable, so the stable compiler is told to take it all the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
# Not `asan`: what it tells AddressSanitizer of blocks is for programs, and `scripts/asan.sh` looks at it.
features=conformance,serde,openmetrics,tracing,backtrace,tlsf,allocator-api2-04
suites=("$@")
[ $# -gt 0 ] || suites=(--no-fail-fast --lib --test all --test process --test global --test soak --test faults
    -- --skip address_space --skip the_system_has_its_memory_back --skip the_child_of_many_threads)

# Leaks: what a thread record or an overflowed queue holds stays for the process, on purpose.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:${ASAN_OPTIONS:-}"
# With its shadow memory a process's own cannot be measured or bounded, so the tests that do so are left out, and the
# one that forks hundreds of times.
# The compile-fail tests run a compiler of their own and are left out. A target names what is instrumented.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/asan" \
    cargo test -p blockyard --features "$features" --target "$host" "${suites[@]}"
