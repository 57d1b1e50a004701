//! The console: the chip's own serial port on USB. Log lines go out by whole writes that never wait for a reader; what a
//! person types is looked for.

use core::convert::Infallible;
use core::fmt::{self, Write};
use embassy_time::Timer;
use embedded_io_async::{ErrorType, Read};
use esp_hal::peripherals::USB_DEVICE;

/// How often the port is looked at, ms: it holds 64 bytes, and the computer sends no more until they were taken.
const LOOK_MS: u64 = 20;

/// Looks at a full buffer before the rest of a line is dropped: a computer that listens empties it within a millisecond.
const LOOKS_MAX: u32 = 20_000;

/// What a person types.
pub(crate) struct Input;

impl ErrorType for Input {
    type Error = Infallible;
}

impl Read for Input {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let usb = USB_DEVICE::regs();
        loop {
            let mut n_read = 0;
            for byte in bytes.iter_mut() {
                if !usb.ep1_conf().read().serial_out_ep_data_avail().bit_is_set() {
                    break;
                }
                *byte = usb.ep1().read().rdwr_byte().bits();
                n_read += 1;
            }
            if n_read > 0 {
                return Ok(n_read);
            }
            Timer::after_millis(LOOK_MS).await;
        }
    }
}

/// Whoever writes a line.
pub(crate) struct Lines;

impl Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let usb = USB_DEVICE::regs();
        for byte in text.bytes() {
            let room = (0..LOOKS_MAX).any(|_| usb.ep1_conf().read().serial_in_ep_data_free().bit_is_set());
            if !room {
                return Err(fmt::Error);
            }
            // SAFETY: any byte may be written to the buffer's end.
            usb.ep1().write(|w| unsafe { w.rdwr_byte().bits(byte) });
        }
        usb.ep1_conf().modify(|_, w| w.wr_done().set_bit());
        Ok(())
    }
}

/// Writes one line with the milliseconds since boot.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let ms = embassy_time::Instant::now().as_millis();
    // Without a computer at the port nobody misses it.
    let _heard = write!(Lines, "{:6}.{:03} {text}\r\n", ms / 1000, ms % 1000);
}

/// `log!("…", …)`: one line on the console.
macro_rules! log {
    ($($text:tt)*) => { $crate::console::line(format_args!($($text)*)) };
}
pub(crate) use log;
