//! How much of the stack was ever used: the free part is painted at start and looked at later.

use core::ptr;

/// What unused stack holds: no pointer, and unlikely as data.
const PAINT: u32 = 0x6769_6f74;
/// Left alone below the frame that paints, bytes: what it and an interrupt need meanwhile.
const MARGIN: usize = 1024;

unsafe extern "C" {
    /// End of all statics, those included that outlive a reset; the stack grows down towards it (riscv-rt's link script).
    static __eheap: u32;
    /// Where the stack begins.
    static _stack_start: u32;
}

/// The words between the statics and `limit`.
fn free_words(limit: usize) -> impl Iterator<Item = *mut u32> {
    let first = (&raw const __eheap).addr().next_multiple_of(4);
    let n_words = limit.saturating_sub(first) / 4;
    (0..n_words).map(move |word| ptr::with_exposed_provenance_mut::<u32>(first + 4 * word))
}

/// Paints what is free. To be called once, early. Never inlined: its frame must be the lowest one.
#[inline(never)]
pub(crate) fn paint() {
    let pointer: usize;
    // SAFETY: reads a register, changes nothing.
    unsafe { core::arch::asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    for word in free_words(pointer.saturating_sub(MARGIN)) {
        // SAFETY: the words lie between the statics and the lowest frame, where no object lives.
        unsafe { word.write_volatile(PAINT) };
    }
}

/// The most that was ever in use, bytes.
pub(crate) fn peak() -> usize {
    let top = (&raw const _stack_start).addr();
    // SAFETY: memory of the program that nothing else refers to; any content is a number.
    let used = free_words(top).find(|word| unsafe { word.read_volatile() } != PAINT);
    used.map_or(0, |word| top.saturating_sub(word.addr()))
}
