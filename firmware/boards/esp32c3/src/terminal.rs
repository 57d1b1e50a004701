//! The node's console on USB: which of the library's parts hears it, and the wiring of a boot without a node.

use crate::console::{self, Input, Lines, log};
use crate::flash::Partition;
use crate::pins::{ActiveLow, Pins, Valves};
use crate::probes::{LACKS_INPUT, has_input};
use crate::reset;
use crate::serial::Serial;
use crate::watchdog::Watchdog;
use core::fmt::Display;
use core::net::SocketAddrV4;
use core::pin::pin;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embedded_hal::digital::OutputPin;
use giot_firmware::apart::apart;
use giot_firmware::console::{self as library, Console, Ending};
use giot_firmware::probe::modbus::{Format, Line, Parity};
use giot_firmware::run::Partitions;
use giot_firmware::settings::{Installation, NoNode, Setup, Start};
use giot_shared::wire::ResetCause;

/// The end of the node that a person at the console wants.
pub(crate) static ENDING: Ending<CriticalSectionRawMutex> = Ending::new();

/// Attends to the console while the node runs.
#[embassy_executor::task]
pub(crate) async fn attend(console: Console, place: Partition) -> ! {
    library::attend(console, Input, Lines, place, &ENDING).await
}

/// Closes what may be open, stays closed and says why nothing can be done.
pub(crate) async fn stay_closed(mut watchdog: Watchdog, coils: Pins, why: &dyn Display) {
    log!("{why}");
    library::close_and_rest(None, &mut Valves::new(coils, &[]), None::<Partition>, console::line).await;
    library::rest(|| watchdog.feed()).await
}

/// Begins a boot: gives what the node runs by. Does not return from one without a node.
pub(crate) async fn begin(
    mut bench: Bench,
    for_setup: bool,
) -> (Installation, SocketAddrV4, Line<Serial>, Bench) {
    let mut setup = Setup::new(bench.place.clone());
    let flash = bench.flash.clone();
    let start = apart(pin!(setup.start(for_setup, flash, |made| bench.fit(made)))).await;
    match start {
        Start::Node(installation, (broker, line)) => (installation, broker, line, bench),
        Start::Person(installed, why) => apart(pin!(bench.set_up(installed, why))).await,
        Start::Again(why) => {
            log!("{why}: the settings from over the air are given back");
            restart(false)
        }
    }
}

/// What a board without a node has.
pub(crate) struct Bench {
    /// The dog, which must be fed all the same.
    pub(crate) watchdog: Watchdog,
    /// The partition of what is set up.
    pub(crate) place: Partition,
    /// The partitions of the loop.
    pub(crate) flash: Partitions<Partition>,
    /// The outputs, which must be closed all the same.
    pub(crate) coils: Pins,
    /// The switch of the probes' supply.
    pub(crate) supply: ActiveLow,
    /// The lamp, which blinks meanwhile.
    pub(crate) lamp: ActiveLow,
    /// The RS485 line, for a look at who is there; `None` where it cannot be opened.
    pub(crate) rs485: Option<Line<Serial>>,
}

impl Bench {
    /// The RS485 line at a speed; it stays here when it cannot have it.
    fn line_at(&mut self, baud: u32, parity: Parity) -> Option<Line<Serial>> {
        let has_format = self.rs485.as_mut().is_some_and(|line| line.port().set_format(baud, parity));
        self.rs485.take_if(|_| has_format)
    }

    /// What the node needs of this board, and the line at its speed.
    ///
    /// # Errors
    /// A sentence about what the board lacks.
    fn fit(&mut self, made: &Installation) -> Result<(SocketAddrV4, Line<Serial>), &'static str> {
        let broker = made.broker.parse().map_err(|_| "the broker is no IPv4 address with a port")?;
        if made.wifi.is_none() {
            return Err("no wireless network is set");
        }
        Valves::check(&made.config.valves)?;
        if !made.inputs.iter().all(|(_, input)| has_input(*input)) {
            return Err(LACKS_INPUT);
        }
        let line = self.line_at(made.baud, made.parity).ok_or("the RS485 line cannot have this speed")?;
        Ok((broker, line))
    }

    /// Closes every valve, says why there is no node, and serves a person at the console until the board is to start again.
    async fn set_up(self, installed: Option<Installation>, why: NoNode) -> ! {
        let Self { mut watchdog, place, flash, coils, mut supply, mut lamp, rs485: line } = self;
        let plans = installed.as_ref().map_or(&[][..], |installed| &installed.config.valves);
        let mut valves = Valves::new(coils, plans);
        let mut is_lit = false;
        let feed = || {
            watchdog.feed();
            // Five seconds on, five off.
            is_lit = !is_lit;
            let Ok(()) = lamp.set_state(is_lit.into());
        };
        let power = |on: bool| {
            let Ok(()) = supply.set_state(on.into());
        };
        let bench = library::Bench {
            input: Input,
            output: Lines,
            place,
            flash,
            line,
            power,
            feed,
            log: console::line,
        };
        restart(bench.set_up(installed, why, &mut valves).await)
    }
}

/// Closes every valve of a boot in which the node cannot run, and rests.
pub(crate) async fn close_and_rest(installation: &Installation, valves: &mut Valves, settings: Partition) {
    library::close_and_rest(Some(installation), valves, Some(settings), console::line).await;
}

/// Resets the chip for a boot with the node or without it.
pub(crate) fn restart(for_setup: bool) -> ! {
    if for_setup { reset::restart_for_setup() } else { reset::restart(ResetCause::Software) }
}
