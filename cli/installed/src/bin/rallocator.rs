//! rallocator behind `#[global_allocator]`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: rallocator::Rallocator = rallocator::Rallocator;

fn main() -> ExitCode {
    blockyard_installed::main()
}
