# The command-line tool as people run it, on little input.
set -euo pipefail

cargo run --release -- index --no-compare src
cargo run --release -- bench --quick --rounds 3 --threads 2 \
    --workload pair-64 --workload larson-n --workload xmalloc-64
# The same behind a real `#[global_allocator]`, and real programs, take minutes to build: scripts/installed.sh.

# A directory that is missing: status 2, one line on standard error, nothing on standard output.
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
status=0
output=$(cargo run -q --release -- index /does/not/exist 2>"$errors") || status=$?
printf 'status %d: %s\n' "$status" "$(<"$errors")"
[ "$status" -eq 2 ] && [ -z "$output" ] && [ "$(wc -l <"$errors")" -eq 1 ]
