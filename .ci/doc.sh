# The library's documentation has no broken links.
set -euo pipefail

RUSTDOCFLAGS="-D warnings" cargo doc -p blockyard --no-deps --all-features
