#!/usr/bin/env bash
# rustc's lints of strict provenance on the library: no cast makes a pointer of an integer, or an integer of a pointer.
# They are unstable, so the stable compiler is told to know them all the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/provenance" cargo rustc -p blockyard --lib --all-features -- \
    '-Zcrate-attr=feature(strict_provenance_lints)' -D fuzzy_provenance_casts -D lossy_provenance_casts --emit=metadata
echo "no cast loses provenance"
