# The code is formatted.
set -euo pipefail

cargo fmt --all --check
