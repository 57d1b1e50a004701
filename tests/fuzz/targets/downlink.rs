//! libFuzzer program over `giot_fuzz::bodies::downlink`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| giot_fuzz::bodies::downlink(bytes));
