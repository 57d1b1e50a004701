//! Reaches giot-firmware: the whole node runs once on a board of nothing.
//!
//! Every generic of the node is instantiated here with the smallest types there are; what they do does not matter, only
//! that the loop, the link, the outbox and the settings are all compiled and linked.

use core::convert::Infallible;
use core::future::{Future, pending, ready};
use core::hint::black_box;
use core::pin::{Pin, pin};
use core::task::{Context, Waker};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embedded_hal::digital::OutputPin;
use embedded_storage_async::nor_flash::{ErrorType, MultiwriteNorFlash, NorFlash, ReadNorFlash};
use giot_firmware::board::{
    Board, ConnectFault, Connector, Drive, DriveFault, NodeStatus, Outputs, Probes, Vitals, Wake,
};
use giot_firmware::coil::{Latching, Relay};
use giot_firmware::console::{Bench, Console, Desk, Ending, attend, serve};
use giot_firmware::probe::modbus::{Format, Line, Parity, Preset, Scan, scan};
use giot_firmware::probe::{
    Adc, Analog, AnalogPlan, BatteryPlan, Chemistry, Contacts, PULSE_US_MIN, ProbeFault, PulsePin, Sample,
    Supply, Tips,
};
use giot_firmware::run::{Memory, Partitions, run};
use giot_firmware::settings::{Input, Installation, NoNode, NodeConfig, ProbePlan, Setup, ValvePlan};
use giot_shared::ids::{ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::units::Millivolts;
use giot_shared::wire::{NodeKey, ResetCause, SettingsOutcome};

/// Runs the node up to its first wait; `seed` is its random number and its flash content.
pub fn reach(seed: u32) -> u32 {
    let Ok(id) = "n01".parse() else { return 0 };
    let mut config = NodeConfig::new(id, NodeKey([3; 32]));
    let planned = config.valves.push(ValvePlan::new(ValveId(0))).is_ok()
        && config.probes.push(ProbePlan::new(ProbeId(0), Metric::SoilMoisture)).is_ok();
    let (mut board, mut probes, mut connector) = (Nothing(seed), Nothing(seed), Nothing(seed));
    let mut memory = Memory::new();
    let partition = || Blank(seed.to_le_bytes()[0]);
    let flash = Partitions {
        settings: partition(),
        readings: partition(),
        events: partition(),
        installation: Some(partition()),
    };
    let mut node = pin!(run(config, &mut board, &mut probes, &mut connector, flash, &mut memory));
    let ended = is_ready(node.as_mut());
    u32::from(ended) + u32::from(planned) + drivers(seed)
}

/// What a board uses beside the loop: an installation, an RS485 line, a latching valve.
fn drivers(seed: u32) -> u32 {
    let installed = is_ready(pin!(Installation::load(Blank(seed.to_le_bytes()[0]))));
    let mut line = Line::new(Silence);
    let sampled = is_ready(pin!(line.sample(1, Preset::A, Metric::SoilMoisture)));
    let scanned = is_ready(pin!(scan(&mut line, &Scan::default(), |sighting| {
        black_box(sighting);
    })));
    let driven = is_ready(pin!(Latching::new(Power, Power).drive(true, 1)));
    let relayed = Relay::new(Power).drive(false).is_ok();
    let fed = Supply::new(Power).line().set_high().is_ok();
    [installed, sampled, scanned, driven, relayed, fed, inputs(seed)].into_iter().map(u32::from).sum()
}

/// The console, settings on trial, switches, pulses and a battery.
fn inputs(seed: u32) -> bool {
    let flash = || Blank(seed.to_le_bytes()[0]);
    let partitions =
        || Partitions { settings: flash(), readings: flash(), events: flash(), installation: None };
    let (mut setup, mut output) = (Setup::new(flash()), heapless::String::<64>::new());
    let bench = Bench {
        input: Typed(b"scan\nreboot\n"),
        output: heapless::String::<64>::new(),
        place: flash(),
        flash: partitions(),
        line: Some(Line::new(Silence)),
        power: |on| {
            black_box(on);
        },
        feed: || {
            black_box(seed);
        },
        log: |line| {
            black_box(line.as_str());
        },
    };
    let set_up = is_ready(pin!(bench.set_up(None, NoNode::Asked, &mut Nothing(seed))));
    let booted = is_ready(pin!(setup.start(false, partitions(), |_| Ok(())))) | set_up
        && is_ready(pin!(setup.settle(SettingsOutcome::Confirmed)));
    let Some(mut console) = Console::new(None) else { return false };
    let mut flash = flash();
    let ending = Ending::<CriticalSectionRawMutex>::new();
    if let Some(console) = Console::new(None) {
        let (place, output) = (Blank(seed.to_le_bytes()[0]), heapless::String::<64>::new());
        let attended = is_ready(pin!(attend(console, Typed(b"reboot\n"), output, place, &ending)));
        black_box((attended, is_ready(pin!(ending.wanted())), ending.is_for_setup()));
    }
    let served = is_ready(pin!(serve(
        &mut console,
        &mut Typed(b"help\ncommit\n"),
        &mut output,
        &mut flash,
        &Desk::new()
    )));
    let float = ProbePlan::new(ProbeId(1), Metric::TankFloat);
    let input = Input::Contact { channel: 0, is_inverted: false, hold_ms: 50 };
    let mut contacts = Contacts::new([(&float, input)], |_| black_box(false));
    let changed = contacts.look(UptimeMs(u64::from(seed)), |_| black_box(true)).is_some();
    let mut pulses = PulsePin::new(Power, PULSE_US_MIN);
    let rained = Tips::new(200, seed).take(pulses.look(u64::from(seed)));
    let battery = BatteryPlan { chemistry: Chemistry::Lead, n_cells: 6, divider: (300, 100) };
    black_box((rained, battery.charge_percent(battery.supply(Millivolts(3000)))));
    booted | served | changed
}

fn is_ready(future: Pin<&mut impl Future>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A board, a network and an analog input of nothing.
struct Nothing(u32);

impl Board for Nothing {
    fn uptime(&self) -> UptimeMs {
        UptimeMs(black_box(u64::from(self.0)))
    }

    fn civil_time(&self) -> Option<UnixMs> {
        black_box(None)
    }

    fn random(&mut self) -> u64 {
        black_box(u64::from(self.0))
    }

    fn reset_cause(&self) -> ResetCause {
        black_box(ResetCause::PowerOn)
    }

    fn drive_valve(&mut self, drive: Drive) -> impl Future<Output = Result<(), DriveFault>> {
        black_box(drive);
        ready(black_box(Ok(())))
    }

    fn read_vitals(&mut self) -> impl Future<Output = Vitals> {
        ready(black_box(Vitals::default()))
    }

    fn take_pulses(&mut self) -> u32 {
        black_box(self.0)
    }

    fn feed_watchdog(&mut self) {}

    fn report(&mut self, status: &NodeStatus) {
        black_box(status);
    }

    fn wait(&mut self, until: Option<UptimeMs>) -> impl Future<Output = Wake> {
        black_box(until);
        ready(black_box(Wake::Timer))
    }
}

impl Probes for Nothing {
    fn read_probe(&mut self, _probe: ProbeId) -> impl Future<Output = Result<Sample, ProbeFault>> {
        let mut probe = Analog::new(Power, AnalogPlan::new(0));
        let sample = probe.power_on().and_then(|_warm_up_ms| probe.sample(self));
        ready(black_box(sample))
    }
}

impl Outputs for Nothing {
    fn has_coils(&self, valve: ValveId) -> bool {
        black_box(valve).0 == 0
    }

    fn drive(&mut self, drive: Drive) -> impl Future<Output = Result<(), DriveFault>> {
        black_box(drive);
        ready(black_box(Ok(())))
    }
}

impl Connector for Nothing {
    type Transport = Silence;

    fn connect(&mut self) -> impl Future<Output = Result<Silence, ConnectFault>> {
        ready(black_box(Ok(Silence)))
    }
}

impl Adc for Nothing {
    type Error = Infallible;

    fn read(&mut self, _channel: u8) -> Result<Millivolts, Infallible> {
        black_box(Ok(Millivolts(1500)))
    }
}

/// The pin that powers a probe.
struct Power;

impl embedded_hal::digital::ErrorType for Power {
    type Error = Infallible;
}

impl embedded_hal::digital::OutputPin for Power {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl embedded_hal::digital::InputPin for Power {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        black_box(Ok(true))
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        black_box(Ok(false))
    }
}

/// What a person typed; nothing comes behind it.
struct Typed(&'static [u8]);

impl embedded_io_async::ErrorType for Typed {
    type Error = Infallible;
}

impl embedded_io_async::Read for Typed {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let (Some((byte, rest)), Some(place)) = (self.0.split_first(), bytes.first_mut()) else {
            return pending().await;
        };
        *place = *byte;
        self.0 = rest;
        Ok(1)
    }
}

/// A stream that takes everything and never answers.
struct Silence;

impl embedded_io_async::ErrorType for Silence {
    type Error = Infallible;
}

impl embedded_io_async::Read for Silence {
    async fn read(&mut self, _buffer: &mut [u8]) -> Result<usize, Infallible> {
        pending().await
    }
}

impl Format for Silence {
    fn set_format(&mut self, baud: u32, parity: Parity) -> bool {
        black_box((baud, parity)).0 > 0
    }
}

impl embedded_io_async::Write for Silence {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok(black_box(bytes).len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Flash that holds one byte everywhere and forgets what is written.
#[derive(Clone)]
struct Blank(u8);

impl ErrorType for Blank {
    type Error = Infallible;
}

impl ReadNorFlash for Blank {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, _offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(black_box(self.0));
        Ok(())
    }

    fn capacity(&self) -> usize {
        4 * Self::ERASE_SIZE
    }
}

impl NorFlash for Blank {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, _from: u32, _to: u32) -> Result<(), Infallible> {
        Ok(())
    }

    async fn write(&mut self, _offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        black_box(bytes);
        Ok(())
    }
}

impl MultiwriteNorFlash for Blank {}
