//! The node's console on the first serial port: the library's commands over the port that also carries log lines.

use crate::console::{Console, Input};
use crate::flash::Partition;
use crate::reset;
use crate::serial::Serial;
use crate::watchdog::Watchdog;
use core::fmt::{Display, Write};
use embassy_futures::join::join;
use embassy_time::Timer;
use giot_firmware::console::{self, Ended, serve, tell_scan};
use giot_firmware::probe::modbus::Line;
use giot_firmware::settings::Installation;
use giot_shared::wire::ResetCause;

/// Half of what the watchdog waits, s.
const REST_S: u64 = 5;

/// Attends to the console while the node runs.
#[embassy_executor::task]
pub(crate) async fn attend(mut console: console::Console) -> ! {
    loop {
        match next(&mut console).await {
            Ended::Scan => refuse(&"the node is running and uses the line: `setup` first"),
            Ended::Reboot => reset::restart(ResetCause::Software),
            Ended::Setup => reset::restart_for_setup(),
        }
    }
}

/// Stays closed, says why there is no node, and waits for a person at the console.
pub(crate) async fn set_up(
    mut watchdog: Watchdog,
    mut line: Line<Serial>,
    installed: Option<Installation>,
    why: &dyn Display,
) {
    crate::console::log!("{why}");
    let Some(mut console) = console::Console::new(installed) else { return };
    let attended = async {
        loop {
            match next(&mut console).await {
                Ended::Scan => {
                    line.port().set_speed(console.draft().baud);
                    tell_scan(&mut line, &mut Console).await;
                }
                Ended::Reboot => reset::restart(ResetCause::Software),
                Ended::Setup => reset::restart_for_setup(),
            }
        }
    };
    let fed = async {
        loop {
            watchdog.feed();
            Timer::after_secs(REST_S).await;
        }
    };
    // Neither ever ends.
    join(attended, fed).await;
}

async fn next(console: &mut console::Console) -> Ended {
    let mut flash = Partition::new(Partition::INSTALLATION);
    serve(console, &mut Input::open(), &mut Console, &mut flash).await
}

fn refuse(why: &dyn Display) {
    // The console takes everything.
    let _heard = console::Console::end(Err(why), &mut |line| write!(Console, "{line}\r\n"));
}
