#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| blockyard_fuzz::run("global", data));
