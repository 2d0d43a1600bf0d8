//! libFuzzer on [`rauthbind_fuzz::request`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rauthbind_fuzz::request::check(input));
