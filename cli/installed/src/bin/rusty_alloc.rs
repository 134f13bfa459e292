//! rusty_alloc behind `#[global_allocator]`.

use std::process::ExitCode;

use blockyard_cli::installed::RustyAlloc;

#[global_allocator]
static ALLOCATOR: RustyAlloc = RustyAlloc;

fn main() -> ExitCode {
    blockyard_installed::main()
}
