//! Replies: what the router understands of what Redis answers and pushes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_router::ledger::hostile::replies(bytes));
