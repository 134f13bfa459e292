//! The `blockyard` program. What it does is in the library, which the programs in `installed` share.

use std::process::ExitCode;

fn main() -> ExitCode {
    blockyard_cli::main()
}
