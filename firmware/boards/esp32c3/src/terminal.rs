//! The node's console on USB: the library's commands over the port that also carries log lines.

use crate::console::{Input, Lines, log};
use crate::flash::Partition;
use crate::pins::{Pins, Valves};
use crate::reset;
use crate::serial::Serial;
use crate::watchdog::Watchdog;
use core::fmt::{Display, Write};
use embassy_futures::join::join;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Timer;
use giot_firmware::console::{Console, Ended, serve, tell_scan};
use giot_firmware::probe::modbus::Line;
use giot_firmware::run::close_without_node;
use giot_firmware::settings::{Installation, ValvePlan};
use giot_shared::wire::ResetCause;
use portable_atomic::{AtomicBool, Ordering};

/// Half of what the watchdog waits, s.
const REST_S: u64 = 5;
/// Time for the last words to reach the computer before the port goes away, ms.
const LAST_WORDS_MS: u64 = 100;

/// The node is to end.
static END: Signal<CriticalSectionRawMutex, ()> = Signal::new();
/// The boot after that is one without it.
static FOR_SETUP: AtomicBool = AtomicBool::new(false);

/// Attends to the console while the node runs.
#[embassy_executor::task]
pub(crate) async fn attend(console: Console, place: Partition) -> ! {
    commands(console, place, true, None).await
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
    /// The partition of what must not be forgotten over a reset.
    pub(crate) settings: Partition,
    /// The outputs, which must be closed all the same.
    pub(crate) coils: Pins,
    /// The RS485 line, for a look at who is there; `None` where it cannot be opened.
    pub(crate) rs485: Option<Line<Serial>>,
}

impl Bench {
    /// The RS485 line at a speed; it stays here when it cannot have it.
    pub(crate) fn line_at(&mut self, baud: u32) -> Option<Line<Serial>> {
        let has_speed = self.rs485.as_mut().is_some_and(|line| line.port().set_speed(baud));
        self.rs485.take_if(|_| has_speed)
    }

    /// Closes every valve, says why there is no node, and waits for a person at the console.
    pub(crate) async fn set_up(self, installed: Option<Installation>, why: &dyn Display) {
        let Self { mut watchdog, place, settings, coils, mut rs485 } = self;
        let plans = installed.as_ref().map_or(&[][..], |installed| &installed.config.valves);
        close(Valves::new(coils, plans), plans, settings).await;
        log!("{why}");
        let Some(console) = Console::new(installed) else { return };
        // Neither ever ends.
        join(commands(console, place, false, rs485.as_mut()), feed(&mut watchdog)).await;
    }
}

async fn close(mut valves: Valves, plans: &[ValvePlan], settings: Partition) {
    let with_coils = valves.with_coils();
    let has_coils = |valve| with_coils == Some(valve);
    match close_without_node(plans, settings, has_coils, async |drive| valves.drive(drive).await).await {
        Ok(0) => {}
        Ok(n_stuck) => log!("{n_stuck} valves did not follow"),
        Err(error) => log!("valves of an earlier plan are not known: {error}"),
    }
}

async fn feed(watchdog: &mut Watchdog) -> ! {
    loop {
        watchdog.feed();
        Timer::after_secs(REST_S).await;
    }
}

/// Lets the node close its valves and end; [`restart`] follows.
async fn end(for_setup: bool) -> ! {
    FOR_SETUP.store(for_setup, Ordering::Relaxed);
    END.signal(());
    core::future::pending().await
}

/// Waits until somebody at the console wants the node to end.
pub(crate) async fn end_is_wanted() {
    END.wait().await;
}

/// Resets the chip for a node that has ended.
pub(crate) fn restart() -> ! {
    if FOR_SETUP.load(Ordering::Relaxed) {
        reset::restart_for_setup()
    } else {
        reset::restart(ResetCause::Software)
    }
}

/// Carries out what is typed; `line` where no node uses it.
async fn commands(
    mut console: Console,
    mut place: Partition,
    has_node: bool,
    mut line: Option<&mut Line<Serial>>,
) -> ! {
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
            (Ended::Scan, None) if has_node => {
                refuse(&"the node is running and uses the line: `setup` first");
            }
            (Ended::Scan, None) => refuse(&"the RS485 line cannot be opened"),
            (Ended::Reboot | Ended::Setup, _) => {
                Timer::after_millis(LAST_WORDS_MS).await;
                let for_setup = ended == Ended::Setup;
                if has_node {
                    end(for_setup).await
                }
                FOR_SETUP.store(for_setup, Ordering::Relaxed);
                restart()
            }
        }
    }
}

fn refuse(why: &dyn Display) {
    let _heard = Console::end(Err(why), &mut |line| write!(Lines, "{line}\r\n"));
}
