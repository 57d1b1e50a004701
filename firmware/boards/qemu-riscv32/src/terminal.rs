//! The node's console on the first serial port: the library's commands over the port that also carries log lines.

use crate::board::{has_coils, move_valve};
use crate::console::{Console, Input};
use crate::flash::Partition;
use crate::gpio::Gpio;
use crate::reset;
use crate::serial::Serial;
use crate::watchdog::Watchdog;
use core::fmt::{Display, Write};
use embassy_futures::join::join;
use embassy_time::Timer;
use giot_firmware::console::{self, Ended, serve, tell_scan};
use giot_firmware::probe::modbus::Line;
use giot_firmware::run::close_without_node;
use giot_firmware::settings::Installation;
use giot_shared::wire::ResetCause;
use portable_atomic::{AtomicBool, Ordering};

/// Half of what the watchdog waits, s.
const REST_S: u64 = 5;

/// The node is to end.
static END: AtomicBool = AtomicBool::new(false);
/// The boot after that is one without it.
static FOR_SETUP: AtomicBool = AtomicBool::new(false);

/// Attends to the console while the node runs.
#[embassy_executor::task]
pub(crate) async fn attend(mut console: console::Console) -> ! {
    loop {
        match next(&mut console).await {
            Ended::Scan => refuse(&"the node is running and uses the line: `setup` first"),
            Ended::Reboot => end(false).await,
            Ended::Setup => end(true).await,
        }
    }
}

/// Lets the node close its valves and end; [`restart`] follows.
async fn end(for_setup: bool) -> ! {
    FOR_SETUP.store(for_setup, Ordering::Relaxed);
    END.store(true, Ordering::Release);
    core::future::pending().await
}

/// Whether somebody at the console wants the node to end.
pub(crate) fn wants_end() -> bool {
    END.load(Ordering::Acquire)
}

/// Resets the machine for a node that has ended.
pub(crate) fn restart() -> ! {
    if FOR_SETUP.load(Ordering::Relaxed) {
        reset::restart_for_setup()
    } else {
        reset::restart(ResetCause::Software)
    }
}

/// What a board without a node has.
pub(crate) struct Bench {
    /// The dog, which must be fed all the same.
    pub(crate) watchdog: Watchdog,
    /// The outputs, which must be closed all the same.
    pub(crate) gpio: Gpio,
    /// The RS485 line, for a look at who is there.
    pub(crate) rs485: Line<Serial>,
}

impl Bench {
    /// Closes every valve, says why there is no node, and waits for a person at the console.
    pub(crate) async fn set_up(self, installed: Option<Installation>, why: &dyn Display) {
        let Self { mut watchdog, gpio, rs485: mut line } = self;
        let plans = installed.as_ref().map_or(&[][..], |installed| &installed.config.valves);
        let settings = Partition::new(Partition::SETTINGS);
        let closed =
            close_without_node(plans, settings, has_coils, async |drive| move_valve(&gpio, drive).await)
                .await;
        match closed {
            Ok(0) => {}
            Ok(n_stuck) => crate::console::log!("{n_stuck} valves did not follow"),
            Err(error) => crate::console::log!("valves of an earlier plan are not known: {error}"),
        }
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
}

async fn next(console: &mut console::Console) -> Ended {
    let mut flash = Partition::new(Partition::INSTALLATION);
    serve(console, &mut Input::open(), &mut Console, &mut flash).await
}

fn refuse(why: &dyn Display) {
    // The console takes everything.
    let _heard = console::Console::end(Err(why), &mut |line| write!(Console, "{line}\r\n"));
}
