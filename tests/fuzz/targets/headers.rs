//! Headers: what goes on to a backend.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_router::request::hostile::headers(bytes));
