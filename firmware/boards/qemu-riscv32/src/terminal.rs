//! The node's console on the first serial port: which of the library's parts hears it, and the wiring of a boot without a node.

use crate::board::{Coils, LACKS_VALVES, has_outputs};
use crate::console::{self, Console, Input};
use crate::flash::Partition;
use crate::gpio::Gpio;
use crate::probes::{LACKS_INPUT, has_inputs};
use crate::reset;
use crate::serial::Serial;
use crate::watchdog::Watchdog;
use core::net::SocketAddrV4;
use core::pin::pin;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use giot_firmware::apart::apart;
use giot_firmware::console::{self as library, Ending};
use giot_firmware::probe::modbus::{Format, Line};
use giot_firmware::settings::{Installation, NoNode, Setup, Start};
use giot_shared::wire::ResetCause;

/// The end of the node that a person at the console wants.
pub(crate) static ENDING: Ending<CriticalSectionRawMutex> = Ending::new();

/// Attends to the console while the node runs.
#[embassy_executor::task]
pub(crate) async fn attend(console: library::Console) -> ! {
    let place = Partition::new(Partition::INSTALLATION);
    library::attend(console, Input::open(), Console, place, &ENDING).await
}

/// Begins a boot: gives what the node runs by. Does not return from one without a node.
pub(crate) async fn begin(mut bench: Bench, for_setup: bool) -> (Installation, SocketAddrV4, Bench) {
    let mut setup = Setup::new(Partition::new(Partition::INSTALLATION));
    let flash = Partition::all();
    let start = apart(pin!(setup.start(for_setup, flash, |made| bench.fit(made)))).await;
    match start {
        Start::Node(installation, broker) => (installation, broker, bench),
        Start::Person(installed, why) => apart(pin!(bench.set_up(installed, why))).await,
        Start::Again(why) => {
            console::log!("{why}: the settings from over the air are given back");
            restart(false)
        }
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
    /// What the node needs of this board; the line is at its speed then.
    ///
    /// # Errors
    /// A sentence about what the board lacks.
    fn fit(&mut self, made: &Installation) -> Result<SocketAddrV4, &'static str> {
        let broker = made.broker.parse().map_err(|_| "the broker is no IPv4 address with a port")?;
        if !made.config.valves.iter().all(|plan| has_outputs(plan.valve)) {
            return Err(LACKS_VALVES);
        }
        if !has_inputs(&made.inputs) {
            return Err(LACKS_INPUT);
        }
        if !self.rs485.port().set_format(made.baud, made.parity) {
            return Err("the RS485 line cannot have this speed");
        }
        Ok(broker)
    }

    /// Closes every valve, says why there is no node, and serves a person at the console until the board is to start again.
    async fn set_up(self, installed: Option<Installation>, why: NoNode) -> ! {
        let Self { mut watchdog, gpio, rs485 } = self;
        let bench = library::Bench {
            input: Input::open(),
            output: Console,
            place: Partition::new(Partition::INSTALLATION),
            flash: Partition::all(),
            line: Some(rs485),
            power: |on| gpio.power_probes(on),
            feed: || watchdog.feed(),
            log: console::line,
        };
        restart(bench.set_up(installed, why, &mut Coils(&gpio)).await)
    }
}

/// Closes every valve of a boot in which the node cannot run, and rests.
pub(crate) async fn close_and_rest(installation: Option<&Installation>, gpio: &Gpio) {
    let settings = Some(Partition::new(Partition::SETTINGS));
    library::close_and_rest(installation, &mut Coils(gpio), settings, console::line).await;
}

/// Resets the machine for a boot with the node or without it.
pub(crate) fn restart(for_setup: bool) -> ! {
    if for_setup { reset::restart_for_setup() } else { reset::restart(ResetCause::Software) }
}
