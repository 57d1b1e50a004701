//! libFuzzer program over `giot_fuzz::bodies::modbus`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| giot_fuzz::bodies::modbus(bytes));
