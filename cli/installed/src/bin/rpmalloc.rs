//! rpmalloc behind `#[global_allocator]`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: rpmalloc::RpMalloc = rpmalloc::RpMalloc;

fn main() -> ExitCode {
    blockyard_installed::main()
}
