//! Requests: what the router reads of a body, and the renaming of its model.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_router::request::hostile::request(bytes));
