//! The node's console on USB: the library's commands over the port that also carries log lines.

use crate::console::{Input, Lines, log};
use crate::flash::Partition;
use crate::reset;
use crate::serial::Serial;
use crate::watchdog::Watchdog;
use core::fmt::{Display, Write};
use embassy_futures::join::join;
use embassy_time::Timer;
use giot_firmware::console::{Console, Ended, serve, tell_scan};
use giot_firmware::probe::modbus::Line;
use giot_firmware::settings::Installation;
use giot_shared::wire::ResetCause;

/// Half of what the watchdog waits, s.
const REST_S: u64 = 5;
/// Time for the last words to reach the computer before the port goes away, ms.
const LAST_WORDS_MS: u64 = 100;

/// Attends to the console while the node runs.
#[embassy_executor::task]
pub(crate) async fn attend(console: Console, place: Partition) -> ! {
    commands(console, place, None).await
}

/// Stays closed and says why nothing can be done.
pub(crate) async fn stay_closed(mut watchdog: Watchdog, why: &dyn Display) {
    log!("{why}");
    feed(&mut watchdog).await
}

/// What a board without a node has.
pub(crate) struct Bench {
    /// The dog, which must be fed all the same.
    pub(crate) watchdog: Watchdog,
    /// The partition of what is set up.
    pub(crate) place: Partition,
    /// The RS485 line, for a look at who is there.
    pub(crate) rs485: Line<Serial>,
}

impl Bench {
    /// Stays closed, says why there is no node, and waits for a person at the console.
    pub(crate) async fn set_up(mut self, installed: Option<Installation>, why: &dyn Display) {
        log!("{why}");
        let Some(console) = Console::new(installed) else { return };
        // Neither ever ends.
        join(commands(console, self.place, Some(&mut self.rs485)), feed(&mut self.watchdog)).await;
    }
}

async fn feed(watchdog: &mut Watchdog) -> ! {
    loop {
        watchdog.feed();
        Timer::after_secs(REST_S).await;
    }
}

/// Carries out what is typed; `line` where no node uses it.
async fn commands(mut console: Console, mut place: Partition, mut line: Option<&mut Line<Serial>>) -> ! {
    loop {
        let ended = serve(&mut console, &mut Input, &mut Lines, &mut place).await;
        match (ended, line.as_mut()) {
            (Ended::Scan, Some(line)) => {
                if line.port().set_speed(console.draft().baud) {
                    tell_scan(*line, &mut Lines).await;
                } else {
                    refuse(&"the RS485 line cannot have this speed");
                }
            }
            (Ended::Scan, None) => refuse(&"the node is running and uses the line: `setup` first"),
            (Ended::Reboot, _) => {
                Timer::after_millis(LAST_WORDS_MS).await;
                reset::restart(ResetCause::Software)
            }
            (Ended::Setup, _) => {
                Timer::after_millis(LAST_WORDS_MS).await;
                reset::restart_for_setup()
            }
        }
    }
}

fn refuse(why: &dyn Display) {
    let _heard = Console::end(Err(why), &mut |line| write!(Lines, "{line}\r\n"));
}
