#!/usr/bin/env bash
# Seeded bugs in a C program with this library in it, compiled with AddressSanitizer: each must be reported, and a
# program without one must not be complained about. Needs a C compiler with the sanitizer's runtime.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build -q -p blockyard --features asan --example asan_host
built="${CARGO_TARGET_DIR:-target}/debug/examples"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${CC:-cc}" -g -fsanitize=address scripts/asan_host.c "$built/libasan_host.a" -lpthread -ldl -lm -o "$work/host"
passed=0 failed=0

# allocator, bug, what must be said of it.
expect() {
    local allocator=$1 bug=$2 line=$3
    "$work/host" "$allocator" "$bug" >"$work/log" 2>&1 || true
    if grep -Eq -- "$line" "$work/log"; then
        passed=$((passed + 1))
        echo "$allocator $bug: reported as expected"
    else
        failed=$((failed + 1))
        echo "$allocator $bug: nothing says '$line'"
        head -30 "$work/log" | sed 's/^/    /'
    fi
}

for allocator in heap global; do
    expect $allocator none '^not noticed$'
    for bug in overflow-into-live overflow-into-free underflow overflow-of-a-run overflow-of-a-mapping \
        use-after-free write-after-free; do
        expect $allocator $bug 'ERROR: AddressSanitizer: use-after-poison'
    done
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
