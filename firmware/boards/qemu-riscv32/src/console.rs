//! The console's serial port: log lines, one write per line and never waiting for a reader; and what a person types.

use crate::mmio::UART0;
use core::convert::Infallible;
use core::fmt::{self, Write};
use embassy_time::Timer;
use embedded_io_async::{ErrorType, Read};

const DATA: usize = 0;
const FIFO_CONTROL: usize = 2;
/// On, and nearly full before it would interrupt: QEMU gives no more at once than are missing to that.
const FIFO_ON: u8 = 0xc1;
const DATA_READY: u8 = 0x01;
const LINE_STATUS: usize = 5;
const TRANSMITTER_EMPTY: u8 = 0x20;

/// The console.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while UART0.read8(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {}
            UART0.write8(DATA, byte);
        }
        Ok(())
    }
}

/// How often the port is looked at, ms: what comes meanwhile waits in its queue of sixteen bytes, and QEMU sends no more.
const LOOK_MS: u64 = 10;
/// How often after something came, and so many times: a program types faster than a person.
const CLOSE_LOOK_MS: u64 = 1;
const CLOSE_LOOKS: u32 = 20;

/// What a person types.
pub(crate) struct Input;

impl Input {
    /// Opens the port for reading.
    pub(crate) fn open() -> Self {
        UART0.write8(FIFO_CONTROL, FIFO_ON);
        Self
    }
}

impl ErrorType for Input {
    type Error = Infallible;
}

impl Read for Input {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let mut n_looks = 0;
        loop {
            let mut n_read = 0;
            for byte in bytes.iter_mut() {
                if UART0.read8(LINE_STATUS) & DATA_READY == 0 {
                    break;
                }
                *byte = UART0.read8(DATA);
                n_read += 1;
            }
            if n_read > 0 {
                return Ok(n_read);
            }
            let look_ms = if n_looks < CLOSE_LOOKS { CLOSE_LOOK_MS } else { LOOK_MS };
            n_looks = CLOSE_LOOKS.min(n_looks + 1);
            #[cfg(feature = "fault-injection")]
            let look_ms = crate::haste::look_ms(look_ms);
            Timer::after_millis(look_ms).await;
        }
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
