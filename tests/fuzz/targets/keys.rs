//! Key files: who is let in, and what errors say.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_router::keys::hostile::keys(bytes));
