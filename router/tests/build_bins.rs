//! Not for the repository: makes `cargo test --no-run` build the binary too.
#[test]
fn nothing() {}
