#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| golive_fuzz::status_file(data));
