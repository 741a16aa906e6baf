//! Streams: where an event ends, and what an answer has cost.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_router::request::hostile::stream(bytes));
