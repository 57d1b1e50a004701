//! The watchdogs: the one of the RTC resets the whole chip when the node's loop stops feeding it.

use esp_hal::rtc_cntl::{Rtc, Rwdt, RwdtStage};
use esp_hal::time::Duration;

/// As long as on the other boards: a flash full of records takes a second to look through, and a probe two not to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// The running watchdog.
pub(crate) struct Watchdog(Rwdt);

impl Watchdog {
    /// Starts it. When its time is over it resets the chip with its RTC.
    pub(crate) fn start(rtc: Rtc<'static>) -> Self {
        let mut rwdt = rtc.rwdt;
        rwdt.enable();
        rwdt.set_timeout(RwdtStage::Stage0, LIMIT);
        rwdt.feed();
        Self(rwdt)
    }

    /// Begins the count anew.
    pub(crate) fn feed(&mut self) {
        self.0.feed();
    }
}
