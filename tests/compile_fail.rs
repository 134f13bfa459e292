//! Misuse that safe code could express does not compile.
//!
//! That handles stay on their threads is asserted in `all/traits.rs`, and shown in their documentation: the messages quote the
//! source of the standard library where that is installed.

#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
}
