//! libFuzzer program over `giot_fuzz::bodies::mqtt_packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| giot_fuzz::bodies::mqtt_packet(bytes));
