#!/usr/bin/env bash
# Seeded bugs, each in a process of its own under valgrind's memcheck: each must be reported, by its name, and a
# program without one must not be complained about. Needs valgrind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build -q -p blockyard --features valgrind --example seeded_bugs
program="${CARGO_TARGET_DIR:-target}/debug/examples/seeded_bugs"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0

# allocator, bug, what memcheck says of it; the rest are further lines that it must say.
expect() {
    local allocator=$1 bug=$2 ok=yes
    shift 2
    valgrind --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=6 --log-file="$log" \
        "$program" "$allocator" "$bug" || { echo "$allocator $bug: status $?"; ok=no; }
    for line in "$@"; do grep -Eq -- "$line" "$log" || { echo "$allocator $bug: nothing says '$line'"; ok=no; }; done
    if [ "$ok" = yes ]; then
        passed=$((passed + 1))
        echo "$allocator $bug: reported as expected"
    else
        failed=$((failed + 1))
        sed 's/^/    /' "$log"
    fi
}

for allocator in heap global; do
    expect $allocator none 'ERROR SUMMARY: 0 errors'
    expect $allocator overflow-into-free 'Invalid write of size 1' '0 bytes after a (recently re-allocated )?block of size 64 alloc'
    expect $allocator overflow-into-live 'Invalid write of size 1' '0 bytes after a (recently re-allocated )?block of size 64 alloc'
    expect $allocator underflow 'Invalid read of size 1' '(1 bytes before|15 bytes after) a (recently re-allocated )?block of size 64 alloc'
    expect $allocator overflow-of-a-run 'Invalid write of size 1' '0 bytes after a block of size 100,000 alloc'
    expect $allocator overflow-of-a-mapping 'Invalid write of size 1' '0 bytes after a block of size 3,000,000 alloc'
    expect $allocator use-after-free 'Invalid read of size 1' '20 bytes inside a block of size 64 free'
    expect $allocator write-after-free 'Invalid write of size 1' '0 bytes inside a block of size 64 free'
    expect $allocator use-after-foreign-free 'Invalid read of size 1' '0 bytes inside a block of size 64 free'
    expect $allocator use-after-grow 'Invalid write of size 1' '0 bytes inside a block of size 64 free'
    expect $allocator double-free 'Invalid free' '0 bytes inside a block of size 64 free'
    expect $allocator uninitialised 'Conditional jump or move depends on uninitialised value'
    expect $allocator leak '777 bytes in 1 blocks are definitely lost'
done
expect arena none 'ERROR SUMMARY: 0 errors'
expect arena overflow 'Invalid write of size 1'
expect arena overflow-of-a-large-block 'Invalid write of size 1'
expect arena use-after-reset 'Invalid read of size 1'
expect arena use-after-scope 'Invalid read of size 1'
expect arena use-after-grow 'Invalid write of size 1'
expect arena uninitialised 'Conditional jump or move depends on uninitialised value'
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
