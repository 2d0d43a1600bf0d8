//! libFuzzer on [`rauthbind_fuzz::byuid`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rauthbind_fuzz::byuid::check(input));
