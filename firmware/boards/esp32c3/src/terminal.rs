//! The node's console on USB: the library's commands over the port that also carries log lines.

use crate::console::{Input, Lines, log};
use crate::flash::Partition;
use crate::reset;
use crate::watchdog::Watchdog;
use core::fmt::{Display, Write};
use embassy_futures::join::join;
use embassy_time::Timer;
use giot_firmware::console::{Console, Ended, serve};
use giot_firmware::settings::Installation;
use giot_shared::wire::ResetCause;

/// Half of what the watchdog waits, s.
const REST_S: u64 = 5;
/// Time for the last words to reach the computer before the port goes away, ms.
const LAST_WORDS_MS: u64 = 100;

/// Attends to the console while the node runs.
#[embassy_executor::task]
pub(crate) async fn attend(console: Console, place: Partition) -> ! {
    commands(console, place).await
}

/// Stays closed and says why nothing can be done.
pub(crate) async fn stay_closed(mut watchdog: Watchdog, why: &dyn Display) {
    log!("{why}");
    feed(&mut watchdog).await
}

/// Stays closed, says why there is no node, and waits for a person at the console.
pub(crate) async fn set_up(
    mut watchdog: Watchdog,
    place: Partition,
    installed: Option<Installation>,
    why: &dyn Display,
) {
    log!("{why}");
    let Some(console) = Console::new(installed) else { return };
    // Neither ever ends.
    join(commands(console, place), feed(&mut watchdog)).await;
}

async fn feed(watchdog: &mut Watchdog) -> ! {
    loop {
        watchdog.feed();
        Timer::after_secs(REST_S).await;
    }
}

async fn commands(mut console: Console, mut place: Partition) -> ! {
    loop {
        match serve(&mut console, &mut Input, &mut Lines, &mut place).await {
            Ended::Scan => {
                let why: &dyn Display = &"this board does not scan: set probe.N and look at its readings";
                let _heard = Console::end(Err(why), &mut |line| write!(Lines, "{line}\r\n"));
            }
            Ended::Reboot | Ended::Setup => {
                Timer::after_millis(LAST_WORDS_MS).await;
                reset::restart(ResetCause::Software)
            }
        }
    }
}
