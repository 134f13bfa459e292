# The library's tests once more, optimised and with every feature: what the optimiser may do to unsafe
# code shows only there. Then every benchmark once, the instructions of the fast paths, and the examples as programs.
set -euo pipefail

cargo test -p blockyard --release --all-features
cargo bench -p blockyard -- --test
cargo bench -p blockyard --bench instructions
for example in examples/*.rs; do
    cargo run -q -p blockyard --release --all-features --example "$(basename "$example" .rs)"
done
