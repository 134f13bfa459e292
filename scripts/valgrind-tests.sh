#!/usr/bin/env bash
# A quick part of the tests under valgrind: scripts/valgrind-tests.sh [test filters]
# It finds reads of memory that nobody has written to, which no sanitizer here does. Slow: fifty times and more, and one
# thread at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
filters=("$@")
[ $# -gt 0 ] || filters=(limit:: fixed_buffer:: traits)

binary=$(cargo test -p blockyard --test all --no-run 2>&1 | sed -n 's/.*Executable .*(\(.*\))$/\1/p')
exec valgrind --quiet --error-exitcode=9 --leak-check=no --fair-sched=yes --num-callers=20 \
    "$binary" --test-threads=1 "${filters[@]}"
