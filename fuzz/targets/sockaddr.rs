//! libFuzzer on [`rauthbind_fuzz::sockaddr`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rauthbind_fuzz::sockaddr::check(input));
