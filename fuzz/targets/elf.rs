//! libFuzzer on [`rauthbind_fuzz::elf`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rauthbind_fuzz::elf::check(input));
