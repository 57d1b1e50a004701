//! Proves that giot-shared and giot-firmware run without std and without a heap.
//!
//! `cargo test --workspace` proves nothing about it: features unify, so a dependency that quietly turned std on would
//! still build. Here the two packages stand in a staticlib of their own, and three things break its build:
//! std in the tree (two panic handlers), alloc in the tree (no global allocator), and, looked up by `tests/run nostd`
//! in the linked object, any undefined symbol beyond the memory intrinsics and the two contracts a board fulfils
//! (time driver, critical section).
//!
//! It must hold no logic: it only reaches every public entry point, so that nothing is dropped before the link.
#![no_std]

use core::panic::PanicInfo;

#[cfg(feature = "leak_alloc")]
extern crate alloc;
#[cfg(feature = "leak_std")]
extern crate std;

mod firmware;
mod shared;

/// Reaches every entry point; the sum keeps the optimiser from dropping them.
#[unsafe(no_mangle)]
pub extern "C" fn giot_probe(input: &[u8; 64]) -> u32 {
    let sum = shared::reach(input);
    #[cfg(feature = "leak_libc")]
    let sum = sum ^ leak_libc();
    firmware::reach(sum)
}

#[cfg(feature = "leak_libc")]
fn leak_libc() -> u32 {
    unsafe extern "C" {
        safe fn rand() -> i32;
    }
    rand().unsigned_abs()
}

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
