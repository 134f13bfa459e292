#!/usr/bin/env bash
# The test suites of well-known crates with `Global` as the program's allocator, against the same suites with the
# system's: scripts/suites.sh [--features LIST] [CRATE...]
# Each crate comes from the registry at the version below, its unit and integration tests are built twice, and each
# test must end the same way. LIST is of this library's features. A table on standard output; status 1 if anything
# differs, is not built or does not end.
#
# To every crate root a line is added that pulls the allocator in, and a test that it is the one that serves. Doc tests
# are left out: their programs are not ours to change. A root with a global allocator of its own keeps it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
library=$PWD
work=$(realpath -m "${CARGO_TARGET_DIR:-target}/suites")

# Crate, version, features or "-", and what else `cargo test` is given.
suites=(
    "hashbrown 0.17.1 rayon,serde"
    "indexmap 2.14.2 serde"
    "smallvec 1.16.6 write,union,const_generics,drain_keep_rest"
    "bytes 1.12.2 serde"
    "dashmap 6.2.1 rayon,serde"
    "im 15.1.0 rayon,serde"
    "arc-swap 1.9.5 weak"
    # `compiletest` compares messages of compilers.
    "serde_json 1.0.154 preserve_order,raw_value,unbounded_depth --test debug --test lexical --test map --test regression --test stream --test test"
    "regex 1.13.2 -"
    # What its integration tests read is in another folder of its repository.
    "regex-automata 0.4.19 - --lib"
    "rayon-core 1.13.0 -"
    "rayon 1.12.0 -"
    "crossbeam-channel 0.5.17 -"
    "crossbeam-deque 0.8.8 -"
    "crossbeam-epoch 0.9.21 -"
    "crossbeam-queue 0.3.14 -"
    "crossbeam-skiplist 0.1.3 -"
    # Only where it is named: it takes longer than the others together. The rest of its tests is about files and sockets.
    "tokio 1.54.1 full --lib --test rt_basic --test rt_common --test rt_threaded --test sync_mpsc --test sync_broadcast --test task_blocking --test task_join_set --test time_sleep --test io_split --test macros_select"
)

features= only=()
while [ $# -gt 0 ]; do
    case $1 in
    --features) features=$2 && shift 2 ;;
    *) only+=("$1") && shift ;;
    esac
done

# The allocator, and who it is.
mkdir -p "$work/allocator/src"
cat >"$work/allocator/Cargo.toml" <<END
[package]
name = "suites-allocator"
version = "0.0.0"
edition = "2024"
[features]
installed = []
[dependencies]
blockyard = { path = "$library", default-features = false, features = [$(sed 's/[^,][^,]*/"&"/g' <<<"$features")] }
[workspace]
END
cat >"$work/allocator/src/lib.rs" <<'END'
#[cfg(feature = "installed")]
#[global_allocator]
static ALLOCATOR: blockyard::Global = blockyard::Global;
#[cfg(not(feature = "installed"))]
#[global_allocator]
static ALLOCATOR: std::alloc::System = std::alloc::System;

/// Panics unless the program's blocks come from where they should.
pub fn check() {
    let blocks: Vec<_> = (0..100).map(|n: u64| std::hint::black_box(Box::new(n))).collect();
    let used: usize = blockyard::Global.chunks().iter().map(|chunk| chunk.used as usize).sum();
    assert_eq!(used >= blocks.len(), cfg!(feature = "installed"), "{used} blocks of Blockyard's");
}
END

# Puts a copy of a crate, with the allocator in each of its roots, where it can be built.
prepare() {
    local name=$1 version=$2 copy=$3 root
    local fetcher="$work/fetcher/$name"
    mkdir -p "$fetcher/src"
    printf '[package]\nname = "fetcher"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\n%s = "=%s"\n[workspace]\n' \
        "$name" "$version" >"$fetcher/Cargo.toml"
    : >"$fetcher/src/lib.rs"
    local manifest
    manifest=$(cargo metadata -q --format-version 1 --manifest-path "$fetcher/Cargo.toml" |
        grep -o "\"manifest_path\":\"[^\"]*/$name-$version/Cargo.toml\"" | head -1 | cut -d'"' -f4)
    rm -rf "$copy"
    cp -rL "$(dirname "$manifest")" "$copy"
    chmod -R u+w "$copy"
    rm -f "$copy"/rust-toolchain*
    # A module that the registry's copy does not have.
    [ "$name" != regex ] || sed -i '/^mod fuzz;/d' "$copy/tests/lib.rs"
    printf '\n[dev-dependencies.suites-allocator]\npath = "%s"\n\n[workspace]\n' "$work/allocator" >>"$copy/Cargo.toml"
    # What its tests use is to be built with this very tokio.
    [ "$name" != tokio ] || printf '\n[patch.crates-io]\ntokio = { path = "." }\n' >>"$copy/Cargo.toml"
    # The registry writes every target's root into the manifest; older copies have the usual ones, unnamed.
    (
        cd "$copy"
        awk '/^\[/ { section = $0 } section ~ /^\[(lib|\[test\])\]/ && /^path = / { gsub(/"/, "", $3); sub(/^\.\//, "", $3); print $3 }' Cargo.toml
        find src/lib.rs tests -maxdepth 1 -name '*.rs' 2>/dev/null || true
    ) | sort -u |
        while read -r root; do
            ! grep -q global_allocator "$copy/$root" || continue
            cat >>"$copy/$root" <<'END'

#[cfg(test)]
#[allow(unused_extern_crates)]
extern crate suites_allocator;
#[cfg(test)]
#[core::prelude::v1::test]
fn the_allocator_serves() {
    suites_allocator::check();
}
END
        done
}

# Runs a crate's tests with one of the allocators; one line for each test into a file.
run() {
    local copy=$1 features=$2 log=$3 status=0
    shift 3
    [ "$features" != - ] || features=
    (
        cd "$copy"
        # Warnings are not ours to mind. The tests' own checks stay on; without debug information it fits on a disk.
        RUSTFLAGS=--cap-lints=allow CARGO_TARGET_DIR="$work/target" CARGO_PROFILE_DEV_OPT_LEVEL=1 \
            CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_OPT_LEVEL=1 CARGO_PROFILE_TEST_DEBUG=0 CARGO_INCREMENTAL=0 \
            CARGO_TERM_COLOR=never timeout "${SUITES_TIMEOUT:-1500}" cargo test --no-fail-fast --features "$features" "$@"
    ) </dev/null >"$log" 2>&1 || status=$?
    awk '/^ +Running / { binary = $2 ~ /^unittests/ ? $3 : $2 }
         /^test .* \.\.\. / { print binary, $0 }
         /^test result: / { print binary, "ends:", $4, $5, $6, $7, $8, $9 }' "$log" |
        sed 's/ \.\.\. ignored.*/ ... ignored/' | sort >"$log.tests"
    return "$status"
}

count() { grep -c -- "$1" "$2" || true; }

mkdir -p "$work"
failed=0
row='%-20s %-9s %7s %7s %8s %7s  %s\n'
# shellcheck disable=SC2059
printf "$row" crate version tests passed ignored failed 'with Global'
for suite in "${suites[@]}"; do
    read -r name version crate_features arguments <<<"$suite"
    [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $name "* ]] || continue
    [ "$name" != tokio ] || [ ${#only[@]} -ne 0 ] || continue
    read -ra arguments <<<"${arguments:---lib --tests}"
    copy="$work/$name"
    prepare "$name" "$version" "$copy"
    run "$copy" "$crate_features" "$work/$name-system.log" "${arguments[@]}" || true
    installed=suites-allocator/installed
    [ "$crate_features" = - ] || installed="$crate_features,$installed"
    run "$copy" "$installed" "$work/$name-global.log" "${arguments[@]}" || true
    system="$work/$name-system.log.tests" global="$work/$name-global.log.tests"
    verdict=same
    if ! diff "$system" "$global" >"$work/$name.diff"; then
        verdict="differs: $work/$name.diff" failed=1
    elif [ "$(count 'the_allocator_serves ... ok' "$global")" -eq 0 ]; then
        verdict="not run: $work/$name-global.log" failed=1
    fi
    # shellcheck disable=SC2059
    printf "$row" "$name" "$version" "$(count ' \.\.\. ' "$system")" "$(count ' \.\.\. ok$' "$global")" \
        "$(count ' \.\.\. ignored$' "$global")" "$(count ' \.\.\. FAILED$' "$global")" "$verdict"
done
exit "$failed"
