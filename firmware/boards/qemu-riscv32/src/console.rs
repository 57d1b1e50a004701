//! Log lines on the console's serial port, one write per line and never waiting for a reader.

use crate::mmio::UART0;
use core::fmt::{self, Write};

const TRANSMIT: usize = 0;
const LINE_STATUS: usize = 5;
const TRANSMITTER_EMPTY: u8 = 0x20;

/// The console.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while UART0.read8(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {}
            UART0.write8(TRANSMIT, byte);
        }
        Ok(())
    }
}

/// Writes one line with the milliseconds since power came on.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let ms = embassy_time::Instant::now().as_millis();
    // The console takes everything.
    let _taken = writeln!(Console, "{:6}.{:03} {text}", ms / 1000, ms % 1000);
}

/// `log!("…", …)`: one line on the console.
macro_rules! log {
    ($($text:tt)*) => { $crate::console::line(format_args!($($text)*)) };
}
pub(crate) use log;
