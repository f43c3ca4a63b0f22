#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsabi::fuzzing::proxy_connect(data));
