//! What a person decided when the node was set up: who it is, where its gateway is, what is wired to it.
//!
//! It has a flash partition of its own, because an unreadable map of counters is begun anew and must not take the key
//! with it. Numbers are little endian.
//!
//! | key | value | when absent |
//! |---|---|---|
//! | 1 | id, text; written last, so that without it nothing is set up | not set up |
//! | 2 | secret, 32 bytes | not set up |
//! | 3 | topic prefix, text | the usual one |
//! | 4 | broker, text `address:port` | not set up |
//! | 5 | own IPv4 address 4 bytes, prefix length u8, router 4 bytes | DHCP |
//! | 6 | speed of the RS485 line, baud u32 | 4800 |
//! | 7 | meter: probe u8, µL per pulse u32 | no meter |
//! | 8 | supply: brown-out mV u16, resume mV u16 | not measured |
//! | 9 | time between records of its own state, s u32 | one hour |
//! | 10 | name of the wireless network, text | no radio, or nothing to join |
//! | 11 | its password, text | an open network |
//! | 12 | battery: kind u8, cells u8, divider u16 u16 | not known |
//! | 13 | settings from over the air, see `trial` | none were sent |
//! | 14 | sleep between samples: listening ms u32, patience ms u32 | stays awake |
//! | 15 | parity of the RS485 line: 1 even, 2 odd, u8 | none |
//! | 16 | warm-up of the probes on the RS485 line, whose supply is switched, ms u16 | powered all the time |
//! | 17 | id whose records were given up with all this, text | nobody's |
//! | 32 + n | valve: number u8, kind u8 (1 relay, 2 latching), longest run s u32, run of the button s u32 | |
//! | 64 + n | probe: number u8, metric u8, valve u8 (255: none), interval s u32, interval of a run s u32, input | |
//!
//! The input of a probe is 1, channel u8, warm-up ms u16, samples u8, then per calibration point mV u16 and moisture in
//! 1/10 000 u16; or 2, Modbus address u8, preset u8; or 3, channel u8, inverted u8, time that a change must last ms u16;
//! or 4, channel u8, steps per tip u16.

mod start;
mod trial;

pub use start::{NoNode, Start};
pub(crate) use trial::is_on_trial;
pub use trial::{Setup, Trial};

use super::{MeterPlan, NodeConfig, PREFIX_LEN_MAX, PROBES_MAX, ProbePlan, SupplyPlan, ValveKind, ValvePlan};
use super::{PASSWORD_LEN, PROBE_WARM_MS_MAX, SSID_LEN_MAX, SettingsError, SleepPlan, Wifi, used_len};
use crate::probe::modbus::{Parity, Preset};
use crate::probe::{AnalogPlan, BatteryPlan, Chemistry};
use core::fmt;
use core::net::Ipv4Addr;
use embedded_storage_async::nor_flash::{MultiwriteNorFlash, NorFlash};
use giot_shared::calibration::{Calibration, POINTS_MAX, Point};
use giot_shared::ids::{NODE_ID_LEN_MAX, NodeId, ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::units::{Millivolts, MoisturePermyriad};
use giot_shared::wire::{KEY_LEN, NodeKey, SETTINGS_LEN_MAX, VALVES_MAX};
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

/// Longest `address:port` of a broker, bytes.
pub const BROKER_LEN_MAX: usize = 64;
/// Speed of the RS485 line that most probes are sold with, baud.
pub const BAUD_DEFAULT: u32 = 4800;

/// Most pages of the partition that are used.
const PAGES_MAX: usize = 8;
/// Longest value, bytes: the text of settings that are tried.
const VALUE_LEN_MAX: usize = trial::HEAD_LEN + SETTINGS_LEN_MAX;
/// Value, key and alignment.
const BUFFER_LEN: usize = VALUE_LEN_MAX + 32;

const KEY_ID: u8 = 1;
const KEY_SECRET: u8 = 2;
const KEY_PREFIX: u8 = 3;
const KEY_BROKER: u8 = 4;
const KEY_NETWORK: u8 = 5;
const KEY_BAUD: u8 = 6;
const KEY_METER: u8 = 7;
const KEY_SUPPLY: u8 = 8;
const KEY_HEALTH: u8 = 9;
const KEY_SSID: u8 = 10;
const KEY_PASSWORD: u8 = 11;
const KEY_BATTERY: u8 = 12;
const KEY_TRIAL: u8 = 13;
const KEY_SLEEP: u8 = 14;
const KEY_PARITY: u8 = 15;
const KEY_PROBE_WARM: u8 = 16;
const KEY_GIVEN_UP: u8 = 17;
const KEY_VALVES: u8 = 32;
const KEY_PROBES: u8 = 64;

const KIND_RELAY: u8 = 1;
const KIND_LATCHING: u8 = 2;
const INPUT_ANALOG: u8 = 1;
const INPUT_MODBUS: u8 = 2;
const INPUT_CONTACT: u8 = 3;
const INPUT_TIPS: u8 = 4;
const NO_VALVE: u8 = 255;

/// What a person decided when the node was set up.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Who it is, and what it measures and waters.
    pub config: NodeConfig,
    /// How its planned probes are connected.
    pub inputs: heapless::Vec<(ProbeId, Input), PROBES_MAX>,
    /// The broker, `address:port`.
    pub broker: heapless::String<BROKER_LEN_MAX>,
    /// How it gets an address.
    pub network: Network,
    /// Speed of the RS485 line, baud.
    pub baud: u32,
    /// Its parity.
    pub parity: Parity,
    /// The wireless network to join, on boards with a radio.
    pub wifi: Option<Wifi>,
}

/// How a probe is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// To a channel of the converter.
    Analog(AnalogPlan),
    /// To the RS485 line.
    Modbus {
        /// Its address, 1 to 247.
        address: u8,
        /// Its register map.
        preset: Preset,
    },
    /// A switch.
    Contact {
        /// Its input.
        channel: u8,
        /// Whether it is closed while what it tells of is not there.
        is_inverted: bool,
        /// How long a change must last before it counts, ms.
        hold_ms: u16,
    },
    /// A tipping bucket.
    Tips {
        /// Its input.
        channel: u8,
        /// Rain of one tip in steps of the metric, thousandths of a millimetre.
        step: u16,
    },
}

impl Input {
    /// The device on a line that gives it, among others.
    #[must_use]
    pub const fn device(&self) -> Option<u8> {
        match self {
            Self::Modbus { address, .. } => Some(*address),
            Self::Analog(_) | Self::Contact { .. } | Self::Tips { .. } => None,
        }
    }
}

/// How the node gets an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// From the network.
    Dhcp,
    /// It was told.
    Static {
        /// Its own.
        address: Ipv4Addr,
        /// Bits that the network shares.
        prefix_len: u8,
        /// Where everything else goes.
        router: Ipv4Addr,
    },
}

/// Why there is no installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// Nobody set this node up, or not to the end.
    Absent,
    /// The value of this key means nothing to this firmware.
    Value(u8),
    /// The flash.
    Flash(SettingsError),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("this node is not set up"),
            Self::Value(key) => write!(f, "the setting {key} means nothing to this firmware"),
            Self::Flash(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for InstallError {}

impl Installation {
    /// A node that uses DHCP and has nothing connected; `None` for a broker text that is too long.
    #[must_use]
    pub fn new(id: NodeId, key: NodeKey, broker: &str) -> Option<Self> {
        Some(Self {
            config: NodeConfig::new(id, key),
            inputs: heapless::Vec::new(),
            broker: heapless::String::try_from(broker).ok()?,
            network: Network::Dhcp,
            baud: BAUD_DEFAULT,
            parity: Parity::None,
            wifi: None,
        })
    }

    /// How a probe is connected.
    #[must_use]
    pub fn input(&self, probe: ProbeId) -> Option<Input> {
        self.inputs.iter().find(|(number, _)| *number == probe).map(|(_, input)| *input)
    }

    /// Reads it from its partition.
    ///
    /// # Errors
    /// [`InstallError`].
    pub async fn load<F: NorFlash>(flash: F) -> Result<Self, InstallError> {
        let mut map = Map::open(flash)?;
        let id = map.text::<NODE_ID_LEN_MAX>(KEY_ID).await?.ok_or(InstallError::Absent)?;
        let id = id.parse().map_err(|_| InstallError::Value(KEY_ID))?;
        let key = map.value(KEY_SECRET, |fields| fields.secret()).await?.ok_or(InstallError::Absent)?;
        let broker = map.text(KEY_BROKER).await?.ok_or(InstallError::Absent)?;
        let mut config = NodeConfig::new(id, key);
        if let Some(prefix) = map.text::<PREFIX_LEN_MAX>(KEY_PREFIX).await? {
            config.prefix = prefix;
        }
        config.meter = map.value(KEY_METER, |fields| fields.meter()).await?;
        config.supply = map.value(KEY_SUPPLY, |fields| fields.supply()).await?;
        config.battery = map.value(KEY_BATTERY, |fields| fields.battery()).await?;
        if let Some(secs) = map.value(KEY_HEALTH, |fields| fields.u32()).await? {
            config.health_interval_ms = u64::from(secs) * 1000;
        }
        config.sleep = map.value(KEY_SLEEP, |fields| fields.sleep()).await?;
        config.probe_warm_ms = map.value(KEY_PROBE_WARM, |fields| fields.warm_up()).await?;
        for key in keys(KEY_VALVES, VALVES_MAX) {
            if let Some(plan) = map.value(key, |fields| fields.valve()).await? {
                config.valves.push(plan).map_err(|_| InstallError::Value(key))?;
            }
        }
        let mut inputs = heapless::Vec::new();
        for key in keys(KEY_PROBES, PROBES_MAX) {
            if let Some((mut plan, input)) = map.value(key, |fields| fields.probe()).await? {
                plan.device = input.device();
                inputs.push((plan.probe, input)).map_err(|_| InstallError::Value(key))?;
                config.probes.push(plan).map_err(|_| InstallError::Value(key))?;
            }
        }
        let network = map.value(KEY_NETWORK, |fields| fields.network()).await?.unwrap_or(Network::Dhcp);
        let baud = map.value(KEY_BAUD, |fields| fields.u32()).await?.unwrap_or(BAUD_DEFAULT);
        let parity =
            map.value(KEY_PARITY, |fields| Parity::from_code(fields.u8()?)).await?.unwrap_or_default();
        let wifi = map.wifi().await?;
        Ok(Self { config, inputs, broker, network, baud, parity, wifi })
    }

    /// Writes it to its partition in place of what is there, but for what became of settings from over the air, which this node's gateway
    /// is still to hear. A power cut in between leaves a node that is not set up.
    ///
    /// # Errors
    /// [`InstallError::Flash`], and [`InstallError::Value`] for a planned probe without an input.
    pub async fn store<F: MultiwriteNorFlash>(&self, flash: F) -> Result<(), InstallError> {
        let mut map = Map::open(flash)?;
        let untold = trial::untold(&mut map, &self.config.id).await;
        map.erase().await?;
        if let Some(untold) = untold {
            map.put(KEY_TRIAL, &untold).await?;
        }
        self.write(&mut map).await
    }

    /// Notes beside what is set up that the records of an earlier id are given up, until something else is set up.
    ///
    /// # Errors
    /// [`InstallError::Flash`].
    pub async fn give_up<F: MultiwriteNorFlash>(flash: F, owner: &NodeId) -> Result<(), InstallError> {
        Map::open(flash)?.put(KEY_GIVEN_UP, owner.as_str().as_bytes()).await
    }

    /// Forgets everything that was set up: id, key, networks, probes and valves.
    ///
    /// # Errors
    /// [`InstallError::Flash`].
    pub async fn forget<F: MultiwriteNorFlash>(flash: F) -> Result<(), InstallError> {
        Map::open(flash)?.erase().await
    }

    /// Brings every value of the map to what this says, the id last.
    async fn write<F: MultiwriteNorFlash>(&self, map: &mut Map<F>) -> Result<(), InstallError> {
        let some = |bytes: &[u8]| Value::default().bytes(bytes);
        map.set(KEY_SECRET, some(&self.config.key.0)).await?;
        map.set(KEY_PREFIX, some(self.config.prefix.as_bytes())).await?;
        map.set(KEY_BROKER, some(self.broker.as_bytes())).await?;
        let network = match self.network {
            Network::Dhcp => Value::default(),
            Network::Static { address, prefix_len, router } => {
                some(&address.octets()).bytes(&[prefix_len]).bytes(&router.octets())
            }
        };
        map.set(KEY_NETWORK, network).await?;
        map.set(KEY_BAUD, Value::default().u32(self.baud)).await?;
        let parity = if self.parity == Parity::None { Value::default() } else { some(&[self.parity.code()]) };
        map.set(KEY_PARITY, parity).await?;
        let meter = self.config.meter.map(|meter| some(&[meter.probe.0]).u32(meter.microlitres_per_pulse));
        map.set(KEY_METER, meter.unwrap_or_default()).await?;
        let supply = self.config.supply.map(|plan| Value::default().u16(plan.brown_out.0).u16(plan.resume.0));
        map.set(KEY_SUPPLY, supply.unwrap_or_default()).await?;
        map.set(KEY_HEALTH, Value::default().u32(secs(self.config.health_interval_ms))).await?;
        let battery = self.config.battery.map(|battery| {
            some(&[battery.chemistry as u8, battery.n_cells]).u16(battery.divider.0).u16(battery.divider.1)
        });
        map.set(KEY_BATTERY, battery.unwrap_or_default()).await?;
        let sleep = self.config.sleep.map(|plan| {
            let ms = |ms| u32::try_from(ms).unwrap_or(u32::MAX);
            Value::default().u32(ms(plan.listen_ms)).u32(ms(plan.patience_ms))
        });
        map.set(KEY_SLEEP, sleep.unwrap_or_default()).await?;
        let warm = self.config.probe_warm_ms.map(u16::to_le_bytes);
        map.set(KEY_PROBE_WARM, some(warm.as_ref().map_or(&[], |bytes| bytes))).await?;
        let wifi = self.wifi.as_ref();
        map.set(KEY_SSID, some(wifi.map_or("", Wifi::ssid).as_bytes())).await?;
        map.set(KEY_PASSWORD, some(wifi.map_or("", Wifi::password).as_bytes())).await?;
        for (key, idx) in keys(KEY_VALVES, VALVES_MAX).zip(0..) {
            let value = self.config.valves.get(idx).map(valve_value);
            map.set(key, value.unwrap_or_default()).await?;
        }
        for (key, idx) in keys(KEY_PROBES, PROBES_MAX).zip(0..) {
            let value = match self.config.probes.get(idx) {
                Some(plan) => probe_value(plan, self.input(plan.probe).ok_or(InstallError::Value(key))?),
                None => Value::default(),
            };
            map.set(key, value).await?;
        }
        map.set(KEY_ID, some(self.config.id.as_str().as_bytes())).await
    }
}

/// `n` keys from `first`; both tables fit below 255.
fn keys(first: u8, n: usize) -> impl Iterator<Item = u8> {
    (first..=u8::MAX).take(n)
}

fn secs(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}

fn valve_value(plan: &ValvePlan) -> Value {
    let kind = match plan.kind {
        ValveKind::Relay => KIND_RELAY,
        ValveKind::Latching => KIND_LATCHING,
    };
    Value::default().bytes(&[plan.valve.0, kind]).u32(plan.hard_max_s).u32(plan.local_run_s)
}

fn probe_value(plan: &ProbePlan, input: Input) -> Value {
    let valve = plan.valve.map_or(NO_VALVE, |valve| valve.0);
    let value = Value::default()
        .bytes(&[plan.probe.0, plan.metric.wire(), valve])
        .u32(secs(plan.interval_ms))
        .u32(secs(plan.interval_running_ms));
    match input {
        Input::Analog(analog) => {
            let value = value
                .bytes(&[INPUT_ANALOG, analog.channel])
                .u16(analog.warm_up_ms)
                .bytes(&[analog.n_samples]);
            let points = plan.calibration.as_ref().map_or(&[][..], Calibration::points);
            points.iter().fold(value, |value, point| value.u16(point.voltage.0).u16(point.moisture.get()))
        }
        Input::Modbus { address, preset } => value.bytes(&[INPUT_MODBUS, address, preset.code()]),
        Input::Contact { channel, is_inverted, hold_ms } => {
            value.bytes(&[INPUT_CONTACT, channel, u8::from(is_inverted)]).u16(hold_ms)
        }
        Input::Tips { channel, step } => value.bytes(&[INPUT_TIPS, channel]).u16(step),
    }
}

/// The map in flash; every value is read once at boot, so that no cache pays.
struct Map<F: NorFlash>(MapStorage<u8, F, Cache<Uncached, Uncached, Uncached, u8>>);

impl<F: NorFlash> Map<F> {
    fn open(flash: F) -> Result<Self, InstallError> {
        let partition = || InstallError::Flash(SettingsError::Partition);
        let len = used_len::<F>(&flash, PAGES_MAX).ok_or_else(partition)?;
        let config = MapConfig::try_new(0..len).map_err(|_| partition())?;
        Ok(Self(MapStorage::new(flash, config, Cache::new_uncached())))
    }

    /// A value as `read` understands it, which must be to its last byte.
    async fn value<T>(
        &mut self,
        key: u8,
        read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Result<Option<T>, InstallError> {
        let mut buffer = [0; BUFFER_LEN];
        match self.0.fetch_item::<&[u8]>(&mut buffer, &key).await {
            // A value that was given up.
            Ok(Some([])) => Ok(None),
            Ok(Some(bytes)) => {
                let mut fields = Fields(bytes);
                let value = read(&mut fields).filter(|_| fields.0.is_empty());
                value.map(Some).ok_or(InstallError::Value(key))
            }
            // A map that was never written, or one that was spoilt: neither is set up.
            Ok(None) | Err(sequential_storage::Error::Corrupted { .. }) => Ok(None),
            Err(_) => Err(InstallError::Flash(SettingsError::Flash)),
        }
    }

    async fn text<const N: usize>(&mut self, key: u8) -> Result<Option<heapless::String<N>>, InstallError> {
        self.value(key, |fields| {
            let bytes = core::mem::take(&mut fields.0);
            heapless::String::try_from(core::str::from_utf8(bytes).ok()?).ok()
        })
        .await
    }

    async fn wifi(&mut self) -> Result<Option<Wifi>, InstallError> {
        let Some(ssid) = self.text::<SSID_LEN_MAX>(KEY_SSID).await? else { return Ok(None) };
        let password = self.text::<{ *PASSWORD_LEN.end() }>(KEY_PASSWORD).await?.unwrap_or_default();
        Wifi::new(&ssid, &password).map(Some).ok_or(InstallError::Value(KEY_PASSWORD))
    }
}

impl<F: MultiwriteNorFlash> Map<F> {
    async fn erase(&mut self) -> Result<(), InstallError> {
        self.0.erase_all().await.map_err(|_| InstallError::Flash(SettingsError::Flash))
    }

    /// Makes the value of a key this one; an empty one stands for none.
    async fn set(&mut self, key: u8, value: Value) -> Result<(), InstallError> {
        let mut buffer = [0; BUFFER_LEN];
        let known = self.0.fetch_item::<&[u8]>(&mut buffer, &key).await.ok().flatten();
        if known.unwrap_or_default() == value.0.as_slice() {
            return Ok(());
        }
        self.put(key, &value.0).await
    }

    async fn put(&mut self, key: u8, value: &[u8]) -> Result<(), InstallError> {
        let mut buffer = [0; BUFFER_LEN];
        let stored = self.0.store_item_generic::<&[u8]>(&mut buffer, &key, &value).await;
        stored.map_err(|_| InstallError::Flash(SettingsError::Flash))
    }
}

/// A value being written; the longest one fits.
#[derive(Default)]
struct Value(heapless::Vec<u8, VALUE_LEN_MAX>);

impl Value {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        const { assert!(VALUE_LEN_MAX >= 16 + 4 * POINTS_MAX) };
        let _full = self.0.extend_from_slice(bytes);
        self
    }

    fn u16(self, number: u16) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u32(self, number: u32) -> Self {
        self.bytes(&number.to_le_bytes())
    }
}

/// What is left of a value being read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn secret(&mut self) -> Option<NodeKey> {
        self.array::<KEY_LEN>().map(NodeKey)
    }

    fn network(&mut self) -> Option<Network> {
        let address = Ipv4Addr::from(self.array::<4>()?);
        let prefix_len = self.u8().filter(|len| *len <= 32)?;
        Some(Network::Static { address, prefix_len, router: Ipv4Addr::from(self.array::<4>()?) })
    }

    fn meter(&mut self) -> Option<MeterPlan> {
        Some(MeterPlan { probe: ProbeId(self.u8()?), microlitres_per_pulse: self.u32()? })
    }

    fn warm_up(&mut self) -> Option<u16> {
        self.u16().filter(|ms| *ms <= PROBE_WARM_MS_MAX)
    }

    fn supply(&mut self) -> Option<SupplyPlan> {
        Some(SupplyPlan { brown_out: Millivolts(self.u16()?), resume: Millivolts(self.u16()?) })
    }

    fn sleep(&mut self) -> Option<SleepPlan> {
        Some(SleepPlan { listen_ms: u64::from(self.u32()?), patience_ms: u64::from(self.u32()?) })
    }

    fn valve(&mut self) -> Option<ValvePlan> {
        let valve = ValveId(self.u8()?);
        let kind = match self.u8()? {
            KIND_RELAY => ValveKind::Relay,
            KIND_LATCHING => ValveKind::Latching,
            _ => return None,
        };
        Some(ValvePlan { valve, kind, hard_max_s: self.u32()?, local_run_s: self.u32()? })
    }

    fn probe(&mut self) -> Option<(ProbePlan, Input)> {
        let mut plan = ProbePlan::new(ProbeId(self.u8()?), Metric::from_wire(self.u8()?)?);
        plan.valve = Some(self.u8()?).filter(|valve| *valve != NO_VALVE).map(ValveId);
        plan.interval_ms = u64::from(self.u32()?) * 1000;
        plan.interval_running_ms = u64::from(self.u32()?) * 1000;
        match self.u8()? {
            INPUT_ANALOG => {
                let channel = self.u8()?;
                let analog = AnalogPlan { channel, warm_up_ms: self.u16()?, n_samples: self.u8()? };
                plan.calibration = self.calibration()?;
                Some((plan, Input::Analog(analog)))
            }
            INPUT_MODBUS => {
                let address = self.u8()?;
                Some((plan, Input::Modbus { address, preset: Preset::from_code(self.u8()?)? }))
            }
            INPUT_CONTACT => {
                let channel = self.u8()?;
                let is_inverted = self.u8().filter(|flag| *flag < 2)? == 1;
                Some((plan, Input::Contact { channel, is_inverted, hold_ms: self.u16()? }))
            }
            INPUT_TIPS => {
                let channel = self.u8()?;
                Some((plan, Input::Tips { channel, step: self.u16()? }))
            }
            _ => None,
        }
    }

    fn battery(&mut self) -> Option<BatteryPlan> {
        let chemistry = Chemistry::from_code(self.u8()?)?;
        let n_cells = self.u8().filter(|n| *n > 0)?;
        let divider = (self.u16()?, self.u16().filter(|ohms| *ohms > 0)?);
        Some(BatteryPlan { chemistry, n_cells, divider })
    }

    /// The rest of the value; nothing is no curve.
    fn calibration(&mut self) -> Option<Option<Calibration>> {
        let mut points: heapless::Vec<Point, POINTS_MAX> = heapless::Vec::new();
        while !self.0.is_empty() {
            let voltage = Millivolts(self.u16()?);
            points.push(Point { voltage, moisture: MoisturePermyriad::new(self.u16()?)? }).ok()?;
        }
        if points.is_empty() {
            return Some(None);
        }
        Calibration::new(&points).ok().map(Some)
    }
}

#[cfg(test)]
mod tests;
