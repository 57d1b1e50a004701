//! The RS485 port: UART1 with a transceiver whose driver is enabled by a pin, only while the node sends.

use embedded_io_async::{ErrorType, Read, Write};
use esp_hal::Async;
use esp_hal::gpio::{Level, Output, OutputConfig};
use esp_hal::peripherals::{GPIO10, GPIO20, GPIO21, UART1};
use esp_hal::uart::{self, Config, IoError, Uart};
use giot_firmware::probe::modbus::{Format, Parity};
use giot_firmware::settings::BAUD_DEFAULT;

/// Errors of the receiver in a row that are passed over: more than the driver's switching makes.
const NOISE_MAX: u8 = 8;

/// The one user of the port.
pub(crate) struct Serial {
    uart: Uart<'static, Async>,
    driver: Output<'static>,
}

impl Serial {
    /// Opens it with 8 data bits, no parity, 1 stop bit, at the usual speed; `None` when the chip cannot.
    pub(crate) fn open(
        uart: UART1<'static>,
        receive: GPIO20<'static>,
        send: GPIO21<'static>,
        driver: GPIO10<'static>,
    ) -> Option<Self> {
        let driver = Output::new(driver, Level::Low, OutputConfig::default());
        let uart = Uart::new(uart, at(BAUD_DEFAULT, Parity::None)).ok()?;
        Some(Self { uart: uart.with_rx(receive).with_tx(send).into_async(), driver })
    }
}

impl Format for Serial {
    fn set_format(&mut self, baud: u32, parity: Parity) -> bool {
        self.uart.apply_config(&at(baud, parity)).is_ok()
    }
}

fn at(baud: u32, parity: Parity) -> Config {
    let parity = match parity {
        Parity::None => uart::Parity::None,
        Parity::Even => uart::Parity::Even,
        Parity::Odd => uart::Parity::Odd,
    };
    Config::default().with_baudrate(baud).with_parity(parity)
}

/// The driver, on; off when it is dropped, by whatever way: a line that is held lets nobody answer.
struct Driving<'a>(&'a mut Output<'static>);

impl<'a> Driving<'a> {
    fn new(driver: &'a mut Output<'static>) -> Self {
        driver.set_high();
        Self(driver)
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        self.0.set_low();
    }
}

impl ErrorType for Serial {
    type Error = IoError;
}

impl Read for Serial {
    /// Noise that is no character is passed over: the checksum of an answer notices what is missing.
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, IoError> {
        let mut last = self.uart.read_async(bytes).await;
        for _ in 1..NOISE_MAX {
            if last.is_ok() {
                break;
            }
            last = self.uart.read_async(bytes).await;
        }
        Ok(last?)
    }
}

impl Write for Serial {
    /// Returns when the last bit of `bytes` is on the line: the probe answers soon after it.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        let _driving = Driving::new(&mut self.driver);
        let mut n_sent = 0;
        while let Some(rest) = bytes.get(n_sent..).filter(|rest| !rest.is_empty()) {
            n_sent += self.uart.write_async(rest).await?;
        }
        self.uart.flush_async().await?;
        Ok(n_sent)
    }

    async fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}
