//! libFuzzer on [`rauthbind_fuzz::channel`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rauthbind_fuzz::channel::check(input));
