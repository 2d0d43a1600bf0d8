//! libFuzzer on [`rauthbind_fuzz::helper`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rauthbind_fuzz::helper::check(input));
