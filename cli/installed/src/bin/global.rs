//! Blockyard behind `#[global_allocator]`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: blockyard::Global = blockyard::Global;

fn main() -> ExitCode {
    blockyard_installed::main()
}
