//! Settings as a person writes them: one word and one value each, at the console and over the air.
//!
//! | word | value |
//! |---|---|
//! | `node` | the node's id |
//! | `key` | its secret, 64 hexadecimal digits; only at the console |
//! | `key_salt` | what makes the key into the next one; only over the air, see [`rekey`] |
//! | `broker` | `ADDRESS:PORT` |
//! | `prefix` | first levels of every topic |
//! | `network` | `dhcp`, or `ADDRESS/LENGTH,ROUTER` |
//! | `wifi_ssid`, `wifi_password` | the wireless network; nothing: none, open |
//! | `baud` | speed of the RS485 line |
//! | `parity` | its parity: `none`, `even` or `odd` |
//! | `probe_warm_ms` | where the board switches the supply of the probes on the RS485 line: ms from power to the first question; or `none` |
//! | `meter` | `PROBE,MICROLITRES_PER_PULSE`, or `none` |
//! | `supply` | `CLOSE_BELOW_MV,OPEN_FROM_MV`, or `none` |
//! | `battery` | `lifepo4`, `lead` or `liion`, then `,CELLS,OHMS_ABOVE,OHMS_BELOW`; or `none` |
//! | `sleep` | deep sleep between samples: `LISTEN_MS,PATIENCE_MS`; or `none` |
//! | `health_s` | seconds between records of the node's own state |
//! | `valve.N` | `relay` or `latching`, then `,LONGEST_S,BUTTON_S`; or `none` |
//! | `probe.N` | `METRIC,INPUT,SECONDS,SECONDS_RUNNING` and, where a valve waters it, `,VALVE`; or `none` |
//! | `curve.N` | `MV:PERCENT,…` of an analog probe, two to eight points; or `none` |
//!
//! INPUT is `modbus:ADDRESS:MAP` (map A to D), `analog:CHANNEL`, `analog:CHANNEL:WARM_UP_MS:SAMPLES`,
//! `contact:CHANNEL:HOLD_MS`, `contact:CHANNEL:HOLD_MS:inverted` or `tips:CHANNEL:MICROMETRES`.
//!
//! A change is whole or not at all, and every bound of [`NodeConfig`](super::NodeConfig) holds afterwards.

use super::rekey;
use super::{
    Input, Installation, MeterPlan, Network, PROBE_WARM_MS_MAX, ProbePlan, SleepPlan, SupplyPlan, ValveKind,
    ValvePlan, Wifi,
};
use crate::probe::modbus::{ADDRESSES, Parity, Preset, Scan};
use crate::probe::{AnalogPlan, BatteryPlan, Chemistry, SAMPLES_MAX};
use core::fmt::{self, Write};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::str::FromStr;
use giot_shared::calibration::{Calibration, POINTS_MAX, Point};
use giot_shared::ids::{ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::units::{Millivolts, MoisturePermyriad};
use giot_shared::wire::{KEY_LEN, NodeKey, is_prefix};

/// Longest interval between readings, s: a day.
const INTERVAL_S_MAX: u32 = 86_400;
/// Longest run that a valve may be given, s: a day.
const RUN_S_MAX: u32 = 86_400;
/// Shortest warm-up of probes, ms: what is less is a slip, and none is said otherwise.
const PROBE_WARM_MS_MIN: u16 = 100;
/// Longest text of one value, bytes: a curve of eight points.
pub const VALUE_TEXT_MAX: usize = 96;

/// Why a setting was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordError {
    /// There is no such word.
    Unknown,
    /// What the value must look like.
    Value(&'static str),
    /// There are as many as there can be.
    Full,
    /// It can only be set at the node itself.
    OnlyAtNode,
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such setting"),
            Self::Value(form) => write!(f, "the value must be {form}"),
            Self::Full => f.write_str("there are as many as this node can have"),
            Self::OnlyAtNode => f.write_str("this can only be set at the node's own console"),
        }
    }
}

impl core::error::Error for WordError {}

/// The settings `base` with the changes of `text`, lines of `KEY=VALUE`.
///
/// # Errors
/// [`WordError`] of the first line that cannot be taken; the id never changes this way, and the key only by its own salt.
pub fn changed(base: &Installation, text: &str) -> Result<Installation, WordError> {
    let mut changed = base.clone();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (word, value) = line.split_once('=').ok_or(WordError::Value("KEY=VALUE"))?;
        match word {
            "node" | "key" => return Err(WordError::OnlyAtNode),
            rekey::WORD => changed.config.key = rekey::turned(&changed.config.key, value)?,
            _ => set(&mut changed, word, value)?,
        }
    }
    Ok(changed)
}

/// Sets one word.
///
/// # Errors
/// [`WordError`]; nothing has changed then.
pub fn set(made: &mut Installation, word: &str, value: &str) -> Result<(), WordError> {
    let config = &mut made.config;
    match word {
        "node" => {
            config.id = value.parse().map_err(|_| WordError::Value("a-z, 0-9, '-', '_', at most 32"))?;
        }
        "key" => config.key = key_of(value).ok_or(WordError::Value("64 hexadecimal digits"))?,
        "broker" => made.broker = broker_of(value)?,
        "prefix" => {
            let form =
                WordError::Value("levels of letters, digits, - or _ with / between them, such as giot/v1");
            config.prefix = text_of(value).filter(|_| is_prefix(value)).ok_or(form)?;
        }
        "network" => made.network = network_of(value)?,
        "wifi_ssid" => {
            const FORM: WordError =
                WordError::Value("the network's name, at most 32 bytes, or nothing for none");
            let password = made.wifi.as_ref().map_or("", Wifi::password);
            let is_text = !value.chars().any(char::is_control);
            let wifi = Wifi::new(value, password).filter(|_| is_text);
            if wifi.is_none() && !value.is_empty() {
                return Err(FORM);
            }
            made.wifi = wifi;
        }
        "wifi_password" => {
            let ssid = made.wifi.as_ref().ok_or(WordError::Value("set after wifi_ssid"))?.ssid();
            let form = WordError::Value("8 to 63 letters, digits and signs without accents, or nothing");
            made.wifi = Some(Wifi::new(ssid, value).ok_or(form)?);
        }
        "baud" => made.baud = baud_of(value)?,
        "parity" => made.parity = parity_of(value)?,
        "probe_warm_ms" => config.probe_warm_ms = optional(value, probe_warm_ms_of)?,
        "meter" => config.meter = optional(value, meter_of)?,
        "supply" => config.supply = optional(value, supply_of)?,
        "battery" => config.battery = optional(value, battery_of)?,
        "sleep" => config.sleep = optional(value, sleep_of)?,
        "health_s" => {
            let secs: u32 = number(value, 10, INTERVAL_S_MAX, "10 to 86400 (s)")?;
            config.health_interval_ms = u64::from(secs) * 1000;
        }
        _ => {
            let (kind, number) = word.split_once('.').ok_or(WordError::Unknown)?;
            let number: u8 = number.parse().map_err(|_| WordError::Unknown)?;
            match kind {
                "valve" => set_valve(made, ValveId(number), value)?,
                "probe" => set_probe(made, ProbeId(number), value)?,
                "curve" => set_curve(made, ProbeId(number), value)?,
                _ => return Err(WordError::Unknown),
            }
        }
    }
    Ok(())
}

/// Tells every setting as a word and its value. Secrets are not told.
///
/// # Errors
/// What `tell` gives.
pub fn show<E>(made: &Installation, mut tell: impl FnMut(&str, &str) -> Result<(), E>) -> Result<(), E> {
    let mut text = heapless::String::<VALUE_TEXT_MAX>::new();
    let mut word = heapless::String::<16>::new();
    // Formats one value and tells it; what does not fit is cut, and every value fits.
    let mut line = |name: fmt::Arguments<'_>, value: fmt::Arguments<'_>| {
        word.clear();
        text.clear();
        let _cut = word.write_fmt(name);
        let _cut = text.write_fmt(value);
        tell(&word, &text)
    };
    let config = &made.config;
    line(format_args!("node"), format_args!("{}", config.id))?;
    line(format_args!("broker"), format_args!("{}", made.broker))?;
    line(format_args!("prefix"), format_args!("{}", config.prefix))?;
    match made.network {
        Network::Dhcp => line(format_args!("network"), format_args!("dhcp"))?,
        Network::Static { address, prefix_len, router } => {
            line(format_args!("network"), format_args!("{address}/{prefix_len},{router}"))?;
        }
    }
    if let Some(wifi) = &made.wifi {
        line(format_args!("wifi_ssid"), format_args!("{}", wifi.ssid()))?;
    }
    line(format_args!("baud"), format_args!("{}", made.baud))?;
    if made.parity != Parity::None {
        line(format_args!("parity"), format_args!("{}", made.parity.name()))?;
    }
    if let Some(ms) = config.probe_warm_ms {
        line(format_args!("probe_warm_ms"), format_args!("{ms}"))?;
    }
    if let Some(meter) = config.meter {
        line(format_args!("meter"), format_args!("{},{}", meter.probe.0, meter.microlitres_per_pulse))?;
    }
    if let Some(supply) = config.supply {
        line(format_args!("supply"), format_args!("{},{}", supply.brown_out.0, supply.resume.0))?;
    }
    if let Some(battery) = config.battery {
        let BatteryPlan { chemistry, n_cells, divider: (above, below) } = battery;
        line(format_args!("battery"), format_args!("{},{n_cells},{above},{below}", chemistry.name()))?;
    }
    if let Some(sleep) = config.sleep {
        line(format_args!("sleep"), format_args!("{},{}", sleep.listen_ms, sleep.patience_ms))?;
    }
    line(format_args!("health_s"), format_args!("{}", config.health_interval_ms / 1000))?;
    for plan in &config.valves {
        let kind = match plan.kind {
            ValveKind::Relay => "relay",
            ValveKind::Latching => "latching",
        };
        let value = format_args!("{kind},{},{}", plan.hard_max_s, plan.local_run_s);
        line(format_args!("valve.{}", plan.valve.0), value)?;
    }
    for plan in &config.probes {
        let mut value = heapless::String::<VALUE_TEXT_MAX>::new();
        // Every probe fits.
        let _cut = write_probe(&mut value, plan, made.input(plan.probe));
        line(format_args!("probe.{}", plan.probe.0), format_args!("{value}"))?;
        if let Some(curve) = &plan.calibration {
            let mut value = heapless::String::<VALUE_TEXT_MAX>::new();
            let _cut = write_curve(&mut value, curve);
            line(format_args!("curve.{}", plan.probe.0), format_args!("{value}"))?;
        }
    }
    Ok(())
}

fn write_probe(text: &mut impl Write, plan: &ProbePlan, input: Option<Input>) -> fmt::Result {
    write!(text, "{},", plan.metric.name())?;
    match input {
        Some(Input::Modbus { address, preset }) => write!(text, "modbus:{address}:{}", preset.letter())?,
        Some(Input::Analog(analog)) => {
            write!(text, "analog:{}:{}:{}", analog.channel, analog.warm_up_ms, analog.n_samples)?;
        }
        Some(Input::Contact { channel, is_inverted, hold_ms }) => {
            write!(text, "contact:{channel}:{hold_ms}{}", if is_inverted { ":inverted" } else { "" })?;
        }
        Some(Input::Tips { channel, step }) => write!(text, "tips:{channel}:{step}")?,
        None => write!(text, "none")?,
    }
    write!(text, ",{},{}", plan.interval_ms / 1000, plan.interval_running_ms / 1000)?;
    plan.valve.map_or(Ok(()), |valve| write!(text, ",{}", valve.0))
}

fn write_curve(text: &mut impl Write, curve: &Calibration) -> fmt::Result {
    for (idx, point) in curve.points().iter().enumerate() {
        let separator = if idx == 0 { "" } else { "," };
        let (whole, hundredths) = (point.moisture.get() / 100, point.moisture.get() % 100);
        write!(text, "{separator}{}:{whole}.{hundredths:02}", point.voltage.0)?;
    }
    Ok(())
}

fn set_valve(made: &mut Installation, valve: ValveId, value: &str) -> Result<(), WordError> {
    let plan = optional(value, |value| {
        const FORM: WordError =
            WordError::Value("relay or latching, then LONGEST_S,BUTTON_S (at most 86400)");
        let [kind, longest, button] = fields(value).ok_or(FORM)?;
        let kind = match kind {
            "relay" => ValveKind::Relay,
            "latching" => ValveKind::Latching,
            _ => return Err(FORM),
        };
        let hard_max_s = within(longest, 1, RUN_S_MAX).ok_or(FORM)?;
        Ok(ValvePlan { valve, hard_max_s, local_run_s: within(button, 1, hard_max_s).ok_or(FORM)?, kind })
    })?;
    let valves = &mut made.config.valves;
    match (plan, valves.iter_mut().find(|known| known.valve == valve)) {
        (Some(plan), Some(known)) => *known = plan,
        (Some(plan), None) => valves.push(plan).map_err(|_| WordError::Full)?,
        (None, _) => valves.retain(|known| known.valve != valve),
    }
    Ok(())
}

fn set_probe(made: &mut Installation, probe: ProbeId, value: &str) -> Result<(), WordError> {
    let new = optional(value, |value| probe_of(probe, value))?;
    let probes = &mut made.config.probes;
    let Some((mut plan, input)) = new else {
        probes.retain(|known| known.probe != probe);
        made.inputs.retain(|(known, _)| *known != probe);
        return Ok(());
    };
    match probes.iter_mut().find(|known| known.probe == probe) {
        Some(known) => {
            // The curve belongs to the stick in the ground, which is still there.
            plan.calibration = known.calibration.clone().filter(|_| matches!(input, Input::Analog(_)));
            *known = plan;
        }
        None => probes.push(plan).map_err(|_| WordError::Full)?,
    }
    made.inputs.retain(|(known, _)| *known != probe);
    made.inputs.push((probe, input)).map_err(|_| WordError::Full)
}

fn set_curve(made: &mut Installation, probe: ProbeId, value: &str) -> Result<(), WordError> {
    let curve = optional(value, curve_of)?;
    let is_analog = matches!(made.input(probe), Some(Input::Analog(_)));
    let plan = made.config.probes.iter_mut().find(|plan| plan.probe == probe && is_analog);
    plan.ok_or(WordError::Value("of an analog probe, which is set first"))?.calibration = curve;
    Ok(())
}

fn probe_of(probe: ProbeId, value: &str) -> Result<(ProbePlan, Input), WordError> {
    const FORM: WordError = WordError::Value(
        "METRIC,INPUT,SECONDS,SECONDS_RUNNING[,VALVE], such as soil_moisture,modbus:1:A,600,60,0",
    );
    const INPUT: WordError = WordError::Value(
        "with an input modbus:ADDRESS:A|B|C|D, analog:CHANNEL, contact:CHANNEL:HOLD_MS or tips:CHANNEL:MICROMETRES",
    );
    let mut parts = value.split(',');
    let metric = parts.next().and_then(Metric::from_name).ok_or(WordError::Value("with a known metric"))?;
    let input = parts.next().and_then(input_of).ok_or(INPUT)?;
    if let Input::Modbus { preset, .. } = input
        && preset.field(metric).is_none()
    {
        return Err(WordError::Value("with a metric that is in this map of registers"));
    }
    let mut secs = || parts.next().and_then(|text| within(text, 1, INTERVAL_S_MAX)).ok_or(FORM);
    let (interval_s, running_s) = (secs()?, secs()?);
    let valve = match parts.next() {
        Some(valve) => Some(ValveId(valve.parse().map_err(|_| FORM)?)),
        None => None,
    };
    if parts.next().is_some() {
        return Err(FORM);
    }
    let mut plan = ProbePlan::new(probe, metric);
    plan.interval_ms = u64::from(interval_s) * 1000;
    plan.interval_running_ms = u64::from(running_s) * 1000;
    plan.valve = valve;
    plan.device = input.device();
    Ok((plan, input))
}

fn input_of(text: &str) -> Option<Input> {
    let (kind, rest) = text.split_once(':')?;
    let mut parts = rest.split(':');
    let channel = parts.next()?;
    let input = match kind {
        "modbus" => {
            let preset = parts.next()?;
            let preset = Preset::ALL.into_iter().find(|known| known.letter() == preset)?;
            Input::Modbus { address: within(channel, *ADDRESSES.start(), *ADDRESSES.end())?, preset }
        }
        "analog" => {
            let mut plan = AnalogPlan::new(channel.parse().ok()?);
            if let Some(warm_up_ms) = parts.next() {
                plan.warm_up_ms = within(warm_up_ms, 0, 10_000)?;
                plan.n_samples = within(parts.next()?, 1, u8::try_from(SAMPLES_MAX).ok()?)?;
            }
            Input::Analog(plan)
        }
        "contact" => {
            let (channel, hold_ms) = (channel.parse().ok()?, within(parts.next()?, 0, 60_000)?);
            let is_inverted = match parts.next() {
                None => false,
                Some("inverted") => true,
                Some(_) => return None,
            };
            Input::Contact { channel, is_inverted, hold_ms }
        }
        "tips" => Input::Tips { channel: channel.parse().ok()?, step: within(parts.next()?, 1, u16::MAX)? },
        _ => return None,
    };
    parts.next().is_none().then_some(input)
}

fn curve_of(value: &str) -> Result<Calibration, WordError> {
    const FORM: WordError = WordError::Value(
        "MV:PERCENT,… with two to eight points, such as 2700:0,1200:100, voltages falling as moisture rises",
    );
    let mut points = heapless::Vec::<Point, POINTS_MAX>::new();
    for part in value.split(',') {
        let (voltage, percent) = part.split_once(':').ok_or(FORM)?;
        let moisture = permyriad_of(percent).and_then(MoisturePermyriad::new).ok_or(FORM)?;
        let voltage = Millivolts(voltage.parse().map_err(|_| FORM)?);
        points.push(Point { voltage, moisture }).map_err(|_| FORM)?;
    }
    Calibration::new(&points).map_err(|_| FORM)
}

/// Percent with at most two decimals.
fn permyriad_of(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let hundredths: u16 = match decimals.len() {
        1 => decimals.parse::<u16>().ok()?.checked_mul(10)?,
        2 => decimals.parse().ok()?,
        _ => return None,
    };
    whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

fn probe_warm_ms_of(value: &str) -> Result<u16, WordError> {
    number(value, PROBE_WARM_MS_MIN, PROBE_WARM_MS_MAX, "100 to 10000 (ms), or none")
}

fn meter_of(value: &str) -> Result<MeterPlan, WordError> {
    const FORM: WordError = WordError::Value("PROBE,MICROLITRES_PER_PULSE, such as 9,10000");
    let [probe, microlitres] = fields(value).ok_or(FORM)?;
    let microlitres_per_pulse = within(microlitres, 1, u32::MAX).ok_or(FORM)?;
    Ok(MeterPlan { probe: ProbeId(probe.parse().map_err(|_| FORM)?), microlitres_per_pulse })
}

fn supply_of(value: &str) -> Result<SupplyPlan, WordError> {
    const FORM: WordError =
        WordError::Value("CLOSE_BELOW_MV,OPEN_FROM_MV, the second above the first, such as 3300,3500");
    let [brown_out, resume] = fields(value).ok_or(FORM)?;
    let brown_out: u16 = within(brown_out, 1, u16::MAX).ok_or(FORM)?;
    let resume: u16 = within(resume, brown_out.saturating_add(1), u16::MAX).ok_or(FORM)?;
    Ok(SupplyPlan { brown_out: Millivolts(brown_out), resume: Millivolts(resume) })
}

fn battery_of(value: &str) -> Result<BatteryPlan, WordError> {
    const FORM: WordError =
        WordError::Value("lifepo4, lead or liion, then CELLS,OHMS_ABOVE,OHMS_BELOW, such as lead,6,300,100");
    let [chemistry, cells, above, below] = fields(value).ok_or(FORM)?;
    let chemistry = Chemistry::ALL.into_iter().find(|known| known.name() == chemistry).ok_or(FORM)?;
    let n_cells = within(cells, 1, 24).ok_or(FORM)?;
    let divider = (within(above, 0, u16::MAX).ok_or(FORM)?, within(below, 1, u16::MAX).ok_or(FORM)?);
    Ok(BatteryPlan { chemistry, n_cells, divider })
}

fn sleep_of(value: &str) -> Result<SleepPlan, WordError> {
    const FORM: WordError = WordError::Value("LISTEN_MS,PATIENCE_MS, such as 3000,30000");
    let [listen, patience] = fields(value).ok_or(FORM)?;
    let listen_ms = within(listen, 0, 60_000).ok_or(FORM)?;
    Ok(SleepPlan { listen_ms, patience_ms: within(patience, 1000, 600_000).ok_or(FORM)? })
}

fn broker_of<const N: usize>(value: &str) -> Result<heapless::String<N>, WordError> {
    const FORM: WordError = WordError::Value("ADDRESS:PORT, such as 192.168.1.5:1883");
    let address: SocketAddrV4 = value.parse().map_err(|_| FORM)?;
    if address.port() == 0 || address.ip().is_unspecified() {
        return Err(FORM);
    }
    text_of(value).ok_or(FORM)
}

fn network_of(value: &str) -> Result<Network, WordError> {
    const FORM: WordError =
        WordError::Value("dhcp, or ADDRESS/LENGTH,ROUTER, such as 192.168.1.20/24,192.168.1.1");
    if value == "dhcp" {
        return Ok(Network::Dhcp);
    }
    let [own, router] = fields(value).ok_or(FORM)?;
    let (address, prefix_len) = own.split_once('/').ok_or(FORM)?;
    Ok(Network::Static {
        address: Ipv4Addr::from_str(address).map_err(|_| FORM)?,
        prefix_len: within(prefix_len, 1, 30).ok_or(FORM)?,
        router: Ipv4Addr::from_str(router).map_err(|_| FORM)?,
    })
}

/// A secret of hexadecimal digits.
#[must_use]
pub fn key_of(text: &str) -> Option<NodeKey> {
    bytes_of::<KEY_LEN>(text).map(NodeKey)
}

/// `N` bytes as twice as many hexadecimal digits.
pub fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Speed of an RS485 line, baud.
///
/// # Errors
/// [`WordError::Value`] beyond 300 to 115 200.
pub fn baud_of(value: &str) -> Result<u32, WordError> {
    number(value, 300, 115_200, "300 to 115200")
}

/// Parity of an RS485 line.
///
/// # Errors
/// [`WordError::Value`] for another word.
pub fn parity_of(value: &str) -> Result<Parity, WordError> {
    Parity::from_name(value).ok_or(WordError::Value("none, even or odd"))
}

/// What a scan is to look at: a speed, a parity, addresses, each of them once or not.
///
/// # Errors
/// [`WordError::Value`] for another word, or a number out of bounds.
pub fn scan_of(text: &str) -> Result<Scan, WordError> {
    const FORM: WordError = WordError::Value(
        "[BAUD] [none|even|odd] [FIRST-LAST], such as 9600 even 1-247, with 300 to 115200 baud and one address as 5-5; \
         each may be left out",
    );
    let mut scan = Scan::default();
    let (mut has_parity, mut has_addresses) = (false, false);
    for word in text.split_ascii_whitespace() {
        if let Some(parity) = Parity::from_name(word).filter(|_| !has_parity) {
            scan.parity = parity;
            has_parity = true;
        } else if let Some((first, last)) = word.split_once('-').filter(|_| !has_addresses) {
            let first = within(first, *ADDRESSES.start(), *ADDRESSES.end()).ok_or(FORM)?;
            scan.addresses = first..=within(last, first, *ADDRESSES.end()).ok_or(FORM)?;
            has_addresses = true;
        } else if scan.baud.is_none() && word.starts_with(|first: char| first.is_ascii_digit()) {
            scan.baud = Some(baud_of(word).map_err(|_| FORM)?);
        } else {
            return Err(FORM);
        }
    }
    Ok(scan)
}

fn optional<T>(value: &str, read: impl FnOnce(&str) -> Result<T, WordError>) -> Result<Option<T>, WordError> {
    if value == "none" { Ok(None) } else { read(value).map(Some) }
}

/// Exactly `N` parts between commas.
fn fields<const N: usize>(value: &str) -> Option<[&str; N]> {
    let mut parts = value.split(',');
    let mut fields = [""; N];
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

fn within<T: FromStr + PartialOrd>(text: &str, min: T, max: T) -> Option<T> {
    text.parse().ok().filter(|number| *number >= min && *number <= max)
}

fn number<T: FromStr + PartialOrd>(text: &str, min: T, max: T, form: &'static str) -> Result<T, WordError> {
    within(text, min, max).ok_or(WordError::Value(form))
}

/// Text without control characters that fits.
fn text_of<const N: usize>(value: &str) -> Option<heapless::String<N>> {
    if value.chars().any(char::is_control) {
        return None;
    }
    heapless::String::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;
    use std::{format, vec};

    fn bare() -> Installation {
        Installation::new("v01".parse().expect("an id"), NodeKey([7; KEY_LEN]), "10.0.0.1:1883")
            .expect("short")
    }

    fn shown(made: &Installation) -> Vec<String> {
        let mut lines = vec![];
        let told: Result<(), ()> = show(made, |word, value| {
            lines.push(format!("{word}={value}"));
            Ok(())
        });
        told.expect("told");
        lines
    }

    const ALL: &str = "broker=192.168.1.5:1883\nprefix=htx/giot\nnetwork=192.168.1.20/24,192.168.1.1\n\
        wifi_ssid=HTX Moc Chau\nwifi_password=man, 1=2 nuoc\nbaud=9600\nparity=even\nprobe_warm_ms=2000\nmeter=9,10000\nsupply=3300,3500\n\
        battery=lifepo4,4,300,100\nsleep=3000,30000\nhealth_s=900\nvalve.0=relay,7200,600\nvalve.3=latching,600,60\n\
        probe.0=soil_moisture,analog:2:300:9,600,60,3\nprobe.1=soil_temperature,modbus:17:B,600,60\n\
        probe.2=tank_float,contact:0:1000:inverted,3600,3600\nprobe.3=rain,tips:1:200,300,300\n\
        curve.0=1200:100.00,2200:15.00,2700:0.00";

    #[test]
    fn what_was_said_is_shown_again() {
        let made = changed(&bare(), ALL).expect("all of it");
        assert_eq!(made.wifi.as_ref().map(Wifi::password), Some("man, 1=2 nuoc"));
        let mut want: Vec<String> = ALL.lines().map(ToString::to_string).collect();
        want.retain(|line| !line.starts_with("wifi_password"));
        want.push("node=v01".to_string());
        let mut got = shown(&made);
        want.sort();
        got.sort();
        assert_eq!(got, want);
        let again = got.iter().filter(|line| !line.starts_with("node"));
        // A curve is set after its probe.
        let (curves, others): (Vec<_>, Vec<_>) = again.partition(|line| line.starts_with("curve"));
        let text = others.into_iter().chain(curves).fold(String::new(), |text, line| text + line + "\n");
        assert_eq!(shown(&changed(&bare(), &text).expect("all of it")), shown(&made));
    }

    #[test]
    fn what_was_set_can_be_taken_back() {
        let made = changed(&bare(), ALL).expect("all of it");
        let back = "network=dhcp\nwifi_ssid=\nmeter=none\nsupply=none\nbattery=none\nsleep=none\nvalve.0=none\nvalve.3=none\n\
            probe.0=none\nprobe.1=none\nprobe.2=none\nprobe.3=none\nbroker=10.0.0.1:1883\nprefix=giot/v1\n\
            health_s=3600\nbaud=4800\nparity=none\nprobe_warm_ms=none";
        assert_eq!(shown(&changed(&made, back).expect("back")), shown(&bare()));
        let other = changed(&made, "probe.0=soil_moisture,analog:5,60,60").expect("another channel");
        assert!(other.config.probes[0].calibration.is_some(), "the curve stays");
        let other = changed(&made, "probe.0=soil_moisture,modbus:1:A,60,60").expect("another kind");
        assert!(other.config.probes[0].calibration.is_none());
    }

    #[test]
    fn nonsense_changes_nothing_and_says_what_is_wanted() {
        let base = changed(&bare(), ALL).expect("all of it");
        for line in [
            "brokr=1.2.3.4:1",
            "broker=giot.local:1883",
            "broker=1.2.3.4",
            "broker=0.0.0.0:1883",
            "broker=1.2.3.4:0",
            "prefix=",
            "prefix=a/#",
            "network=static",
            "network=1.2.3.4/33,1.2.3.1",
            "baud=0",
            "baud=fast",
            "parity=",
            "parity=mark",
            "meter=9",
            "meter=9,0",
            "supply=3500,3300",
            "supply=3500,3500",
            "battery=nimh,1,0,1",
            "battery=lead,0,0,1",
            "battery=lead,6,1,0",
            "health_s=1",
            "sleep=1",
            "sleep=1,1",
            "valve.0=relay,0,0",
            "valve.0=relay,60,61",
            "valve.0=relay,86401,60",
            "valve.x=none",
            "valve.0=motor,60,60",
            "valve.256=none",
            "pump.0=none",
            "probe.0=soil,modbus:1:A,1,1",
            "probe.0=soil_moisture,modbus:0:A,1,1",
            "probe.0=soil_moisture,modbus:248:A,1,1",
            "probe.0=soil_moisture,modbus:1:E,1,1",
            "probe.0=soil_ph,modbus:1:C,1,1",
            "probe.0=soil_tds,modbus:1:A,1,1",
            "probe.0=rain,modbus:1:A,1,1",
            "probe.0=soil_moisture,modbus:1:A:x,1,1",
            "probe.0=soil_moisture,modbus:1:A,0,1",
            "probe.0=soil_moisture,modbus:1:A,1",
            "probe.0=soil_moisture,analog:1:300,1,1",
            "probe.0=soil_moisture,analog:1:300:16,1,1",
            "probe.0=tank_float,contact:1,1,1",
            "probe.0=tank_float,contact:1:1:up,1,1",
            "probe.0=rain,tips:1:0,1,1",
            "probe.0=soil_moisture,modbus:1:A,1,1,0,0",
            "curve.1=2700:0,1200:100",
            "curve.0=2700:0",
            "curve.0=2700:0,1200:101",
            "curve.0=2700:0,1200:1.234",
            "wifi_ssid=\u{7}",
            "wifi_password=1234567",
            "key=00",
            "node=x",
            "node",
            "",
        ] {
            let mut other = base.clone();
            let outcome = changed(&base, line);
            assert_eq!(outcome.is_err(), !line.is_empty(), "{line}");
            if let Some((word, value)) = line.split_once('=')
                && !matches!(word, "node" | "key")
            {
                let error = set(&mut other, word, value).expect_err(line);
                assert_eq!(shown(&other), shown(&base), "{line}: {error}");
            }
        }
        assert_eq!(changed(&base, "key=00").map(|_| ()), Err(WordError::OnlyAtNode));
        let mut base = bare();
        for probe in 0..u8::try_from(super::super::PROBES_MAX).expect("few") {
            set(&mut base, &format!("probe.{probe}"), "rain,tips:0:1,1,1").expect("room");
        }
        assert_eq!(set(&mut base, "probe.99", "rain,tips:0:1,1,1"), Err(WordError::Full));
        for valve in 0..8 {
            set(&mut base, &format!("valve.{valve}"), "relay,1,1").expect("room");
        }
        assert_eq!(set(&mut base, "valve.8", "relay,1,1"), Err(WordError::Full));
    }

    #[test]
    fn a_warm_up_has_bounds() {
        let mut made = bare();
        for bad in ["0", "99", "10001", "-1", "2 s", ""] {
            let error = set(&mut made, "probe_warm_ms", bad).expect_err(bad);
            assert_eq!(error.to_string(), "the value must be 100 to 10000 (ms), or none");
            assert_eq!(made.config.probe_warm_ms, None);
        }
        for (text, ms) in [("100", Some(100)), ("10000", Some(10_000)), ("none", None)] {
            set(&mut made, "probe_warm_ms", text).expect(text);
            assert_eq!(made.config.probe_warm_ms, ms);
        }
    }

    #[test]
    fn a_scan_is_told_what_to_look_at() {
        let wanted = |baud, parity, addresses| Ok(Scan { baud, parity, addresses });
        assert_eq!(scan_of(""), Ok(Scan::default()));
        assert_eq!(scan_of("9600"), wanted(Some(9600), Parity::None, 1..=10));
        assert_eq!(scan_of("even 9600 1-247"), wanted(Some(9600), Parity::Even, 1..=247));
        assert_eq!(scan_of(" 17-17  odd"), wanted(None, Parity::Odd, 17..=17));
        for bad in
            ["0-9", "9-1", "1-248", "1-", "-9", "-", "even odd", "9600 4800", "1-2 3-4", "mark", "9", "9e9"]
        {
            assert!(scan_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_read() {
        let text = "00ff".repeat(16);
        assert_eq!(key_of(&text).map(|key| (key.0[0], key.0[1])), Some((0, 255)));
        assert!(
            [&"00".repeat(31), &format!("{text}0"), &text.replace('f', "g")]
                .into_iter()
                .all(|bad| key_of(bad).is_none())
        );
    }
}
