#!/usr/bin/env bash
# Fuzzes one target for a while: scripts/fuzz.sh TARGET SECONDS [libFuzzer's own flags]
# Targets are the binaries of fuzz/Cargo.toml. Stable Rust does: libFuzzer comes with the crate libfuzzer-sys, which
# compiles it, and coverage is asked for with flags that are not unstable. Inputs that show something are kept in
# fuzz/work/TARGET, those that fail in fuzz/artifacts/TARGET. `scripts/fuzz.sh TARGET keep` writes the fewest of them
# that reach everything to fuzz/corpus/TARGET.txt, a line of hexadecimal digits each, which the tests replay.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../fuzz"
[ $# -ge 2 ] || { echo "usage: scripts/fuzz.sh TARGET SECONDS|keep [FLAGS]" >&2; exit 2; }
name=$1 seconds=$2
shift 2

host=$(rustc -vV | sed -n 's/^host: //p')
flags=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1)
target_dir=${CARGO_TARGET_DIR:-../target}/fuzz
# A target is named, so that build scripts and macros go without the flags.
RUSTFLAGS="${RUSTFLAGS:-} ${flags[*]}" CARGO_TARGET_DIR="$target_dir" \
    cargo build --release --target "$host" --bin "$name"
binary="$target_dir/$host/release/$name"

mkdir -p "work/$name" "artifacts/$name"
if [ "$seconds" = keep ]; then
    fewest=$(mktemp -d)
    trap 'rm -rf "$fewest"' EXIT
    "$binary" -set_cover_merge=1 -max_len=400 "$fewest" "work/$name" "$@"
    for input in "$fewest"/*; do
        od -An -v -tx1 "$input" | tr -d ' \n'
        echo
    done | sort >"corpus/$name.txt"
    wc "corpus/$name.txt"
    exit
fi
number=0
while read -r line; do
    # shellcheck disable=SC2059 # the digits become escapes
    printf "$(sed 's/../\\x&/g' <<<"$line")" >"work/$name/kept-$((number += 1))"
done <"corpus/$name.txt"
# Leaks of blocks are looked for by the targets themselves.
exec "$binary" -max_total_time="$seconds" -max_len=400 -timeout=20 -rss_limit_mb=4096 -detect_leaks=0 \
    -print_final_stats=1 -artifact_prefix="artifacts/$name/" "$@" "work/$name"
