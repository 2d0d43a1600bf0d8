//! libFuzzer on [`rauthbind_fuzz::reply`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rauthbind_fuzz::reply::check(input));
