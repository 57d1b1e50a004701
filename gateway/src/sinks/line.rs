//! Line protocol: how readings and diary entries are called in a time-series store. Pure.
//!
//! | measurement | tags | fields |
//! |---|---|---|
//! | name of the metric: `soil_moisture`, `battery`, … | cooperative, gateway, device, and where known: probe (number on its node), zone, household, depth_cm | `value` (float; left out where the probe gave none), `quality` (integer, 0 is good) |
//! | `irrigation`: entries of the diary | cooperative, gateway, zone, household, event, reason, by | `entry` (integer, place in the diary), and where measured: `run_s`, `litres` (floats) |
//!
//! Times are microseconds: of a reading the millisecond it was taken in; of an entry of the diary its millisecond, and within it the last
//! three digits of its number, because what an engine decides at one moment can have the same tags, and one point would take the place
//! of another. Every field is a number, because some stores keep nothing else. A point is the same point whenever it is
//! sent: its tags depend on the configuration and never on the moment, so sending it twice changes nothing.
//!
//! Must not know stores, sockets or clocks. Invariants: what [`Mapping`] gives is one line for one point; text from outside cannot
//! begin a second line, a comment or a field: control characters, a backslash, and names that begin with `#` or `_` are refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use giot_shared::metric::Metric;
use sha2::{Digest, Sha256};

use giot_store::{DiaryEntry, DiaryRow, Sample};

/// Measurement of the diary's entries.
pub const DIARY: &str = "irrigation";

/// Number of the layout above: changes with it, so that a changed layout counts as changed tags.
const LAYOUT: u8 = 2;

/// Where a probe is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeLabel {
    /// Id of its zone.
    pub zone: String,
    /// Household of the zone; may be empty.
    pub household: String,
    /// Depth, cm.
    pub depth_cm: Option<u16>,
}

/// Everything that goes into tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Name of the cooperative.
    pub cooperative: String,
    /// Name of this gateway within it.
    pub gateway: String,
    /// Probes by device and metric.
    pub probes: BTreeMap<(String, String), ProbeLabel>,
    /// Household of each zone.
    pub households: BTreeMap<String, String>,
}

/// A name that line protocol cannot carry safely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} cannot be sent: {why}")]
pub struct Unspeakable {
    what: &'static str,
    text: String,
    why: &'static str,
}

impl Mapping {
    /// Changes when a point would get other tags than before.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let text = format!("{LAYOUT} {self:?}");
        crate::hex(Sha256::digest(text.as_bytes()).get(..8).unwrap_or_default())
    }

    /// Measurement and tags of a series.
    ///
    /// # Errors
    /// A name that line protocol cannot carry.
    pub fn series(&self, device: &str, metric: &str) -> Result<String, Unspeakable> {
        let (measurement, probe) = family(metric);
        let known = self.probes.get(&(device.to_owned(), metric.to_owned()));
        let depth = known.and_then(|known| known.depth_cm).map(|depth_cm| depth_cm.to_string());
        let probe = probe.map(|probe| probe.to_string());
        // By the order of their keys, as stores like them.
        let tags = [
            ("cooperative", Some(self.cooperative.as_str())),
            ("depth_cm", depth.as_deref()),
            ("device", Some(device)),
            ("gateway", Some(self.gateway.as_str())),
            ("household", known.map(|known| known.household.as_str())),
            ("probe", probe.as_deref()),
            ("zone", known.map(|known| known.zone.as_str())),
        ];
        head(&measurement, &tags)
    }

    /// Appends the line of a diary entry.
    ///
    /// # Errors
    /// A name that line protocol cannot carry; nothing is appended.
    pub fn push_diary(&self, row: &DiaryRow, out: &mut Vec<u8>) -> Result<(), Unspeakable> {
        let DiaryEntry { at_us, recorded_us, zone, event, by, reason, run_ms, volume_ml, .. } = &row.entry;
        let tags = [
            ("by", Some(by.as_str())),
            ("cooperative", Some(self.cooperative.as_str())),
            ("event", Some(event.as_str())),
            ("gateway", Some(self.gateway.as_str())),
            ("household", zone.as_ref().and_then(|zone| self.households.get(zone)).map(String::as_str)),
            ("reason", Some(reason.as_str())),
            ("zone", zone.as_deref()),
        ];
        let mut line = head(DIARY, &tags)?;
        let thousandth = |name: &str, value: Option<u64>| {
            #[expect(clippy::cast_precision_loss, reason = "spans and volumes of one run are far below 2^53")]
            value.map_or_else(String::new, |value| format!(",{name}={:?}", value as f64 / 1000.0))
        };
        let (litres, run_s) = (thousandth("litres", *volume_ml), thousandth("run_s", *run_ms));
        let sent_us = whole_ms(at_us.unwrap_or(*recorded_us)).saturating_add(row.id.rem_euclid(1000));
        // Writing into a String cannot fail.
        writeln!(line, " entry={}i{litres}{run_s} {sent_us}", row.id).ok();
        out.extend_from_slice(line.as_bytes());
        Ok(())
    }
}

/// Appends the line of a sample whose measurement and tags are `series`.
pub fn push_sample(series: &str, sample: &Sample, out: &mut Vec<u8>) {
    let mut fields = String::new();
    if let Some(value) = sample.value.filter(|value| value.is_finite()) {
        // With a point or an exponent: a store must never take the first value of a field for an integer.
        write!(fields, "value={value:?},").ok();
    }
    writeln!(fields, "quality={}i {}", sample.quality, whole_ms(sample.at_us)).ok();
    out.extend_from_slice(series.as_bytes());
    out.push(b' ');
    out.extend_from_slice(fields.as_bytes());
}

/// The beginning of the millisecond that `at_us` lies in, µs.
fn whole_ms(at_us: i64) -> i64 {
    at_us.saturating_sub(at_us.rem_euclid(1000))
}

/// Measurement and probe number of a metric: `soil_moisture_1_raw` is probe 1 of `soil_moisture_raw`. Names that are not a node's are
/// measurements as they stand.
fn family(metric: &str) -> (String, Option<u8>) {
    let (body, raw) = metric.strip_suffix("_raw").map_or((metric, ""), |body| (body, "_raw"));
    for known in Metric::ALL {
        let Some(rest) = body.strip_prefix(known.name()) else { continue };
        let probe = if rest.is_empty() { Some(0) } else { rest.strip_prefix('_').and_then(number) };
        if let Some(probe) = probe {
            return (format!("{}{raw}", known.name()), Some(probe));
        }
    }
    (metric.to_owned(), None)
}

/// A number as [`crate::ingest::series_name`] writes it: without zeros before it.
fn number(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number: &u8| number.to_string() == text)
}

fn head(measurement: &str, tags: &[(&'static str, Option<&str>)]) -> Result<String, Unspeakable> {
    let refuse = |why| Unspeakable { what: "measurement", text: measurement.to_owned(), why };
    if measurement.starts_with(['#', '_']) {
        return Err(refuse("it begins with '#' or '_'"));
    }
    if measurement.is_empty() {
        return Err(refuse("it is empty"));
    }
    let mut line = String::with_capacity(128);
    escape("measurement", measurement, &[',', ' '], &mut line)?;
    for (key, value) in tags {
        // A tag without text does not exist in line protocol.
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        line.push(',');
        line.push_str(key);
        line.push('=');
        escape(key, value, &[',', ' ', '='], &mut line)?;
    }
    Ok(line)
}

fn escape(what: &'static str, text: &str, special: &[char], line: &mut String) -> Result<(), Unspeakable> {
    let refuse = |why| Unspeakable { what, text: text.to_owned(), why };
    for c in text.chars() {
        if c.is_control() {
            return Err(refuse("it holds a control character"));
        }
        if c == '\\' {
            // Stores disagree about what it means before another character.
            return Err(refuse("it holds a backslash"));
        }
        if special.contains(&c) {
            line.push('\\');
        }
        line.push(c);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mapping() -> Mapping {
        let man = ProbeLabel {
            zone: "man-1".to_owned(),
            household: "Hộ Lò Văn Minh".to_owned(),
            depth_cm: Some(20),
        };
        Mapping {
            cooperative: "HTX Mận, hậu = ngon".to_owned(),
            gateway: "chính".to_owned(),
            probes: BTreeMap::from([(("n01".to_owned(), "soil_moisture_1".to_owned()), man)]),
            households: BTreeMap::from([("man-1".to_owned(), "Hộ Lò Văn Minh".to_owned())]),
        }
    }

    fn sample(value: Option<f64>, quality: u8) -> Sample {
        Sample { at_us: 1_700_000_000_123_999, value, quality }
    }

    fn line(device: &str, metric: &str, sample: Sample) -> String {
        let mut out = Vec::new();
        push_sample(&mapping().series(device, metric).unwrap(), &sample, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reading_says_where_it_was_taken() {
        assert_eq!(
            line("n01", "soil_moisture_1", sample(Some(23.0), 0)),
            "soil_moisture,cooperative=HTX\\ Mận\\,\\ hậu\\ \\=\\ ngon,depth_cm=20,device=n01,gateway=chính,\
             household=Hộ\\ Lò\\ Văn\\ Minh,probe=1,zone=man-1 value=23.0,quality=0i 1700000000123000\n"
        );
        let tail = |sample| line("d", "pm2_5", sample).rsplit_once(" v").map(|(_, tail)| format!("v{tail}"));
        assert_eq!(
            tail(sample(Some(-1e300), 2)).as_deref(),
            Some("value=-1e300,quality=2i 1700000000123000\n")
        );
        assert_eq!(tail(sample(Some(0.1), 5)).as_deref(), Some("value=0.1,quality=5i 1700000000123000\n"));
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        for value in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            let line = line("d", "x", sample(value, 1));
            assert!(line.ends_with("gateway=chính quality=1i 1700000000123000\n"), "{line}");
        }
    }

    #[test]
    fn only_a_nodes_own_names_have_probe_numbers() {
        let cases = [
            ("soil_moisture", "soil_moisture", Some(0)),
            ("soil_moisture_12", "soil_moisture", Some(12)),
            ("soil_moisture_1_raw", "soil_moisture_raw", Some(1)),
            ("battery", "battery", Some(0)),
            ("soil_moisture_01", "soil_moisture_01", None),
            ("soil_moisture_300", "soil_moisture_300", None),
            ("pm2_5", "pm2_5", None),
        ];
        for (metric, measurement, probe) in cases {
            assert_eq!(family(metric), (measurement.to_owned(), probe), "{metric}");
        }
    }

    fn entry() -> DiaryEntry {
        DiaryEntry {
            at_us: None,
            recorded_us: 1_700_000_000_000_000,
            zone: Some("man-1".to_owned()),
            event: "stopped".to_owned(),
            command: None,
            by: "engine".to_owned(),
            person: None,
            reason: "soil_wet".to_owned(),
            args: "{}".to_owned(),
            run_ms: Some(600_500),
            volume_ml: Some(320_000),
        }
    }

    fn diary_line(id: i64, entry: DiaryEntry) -> String {
        let mut out = Vec::new();
        mapping().push_diary(&DiaryRow { id, entry, hash: [0; 32] }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_irrigation_run_has_its_litres_and_its_reason() {
        assert_eq!(
            diary_line(7, entry()),
            "irrigation,by=engine,cooperative=HTX\\ Mận\\,\\ hậu\\ \\=\\ ngon,event=stopped,gateway=chính,\
             household=Hộ\\ Lò\\ Văn\\ Minh,reason=soil_wet,zone=man-1 entry=7i,litres=320.0,run_s=600.5 1700000000000007\n"
        );
    }

    #[test]
    fn entries_of_one_moment_are_points_of_their_own() {
        let time = |id, at_us| -> i64 {
            let line = diary_line(id, DiaryEntry { at_us: Some(at_us), ..entry() });
            line.trim_end().rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        // Sent again it is the same point.
        assert_eq!(
            [time(999, 1_234_567), time(1_000, 1_234_567), time(999, 1_234_567)],
            [1_234_999, 1_234_000, 1_234_999]
        );
        assert_eq!([time(1, -1), time(2, -1_000)], [-999, -998]);
        assert!(time(999, i64::MIN) < time(999, i64::MAX));
    }

    #[test]
    fn names_that_could_mean_something_else_are_refused() {
        for (device, metric) in
            [("a\nb", "x"), ("a\\", "x"), ("a", "#x"), ("a", "_x"), ("a", ""), ("a\u{7f}", "x")]
        {
            assert!(mapping().series(device, metric).is_err(), "{device:?} {metric:?}");
        }
    }

    #[test]
    fn other_tags_are_another_mapping() {
        let mut other = mapping();
        other.probes.clear();
        assert_ne!(other.fingerprint(), mapping().fingerprint());
        assert_eq!(mapping().fingerprint(), mapping().fingerprint());
    }

    /// Undoes the encoding by the rules of the InfluxDB reference: measurement, tags, fields, time.
    fn read(line: &str) -> Option<(String, Vec<(String, String)>)> {
        let mut parts = vec![String::new()];
        let mut marks = Vec::new();
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => parts.last_mut()?.push(chars.next()?),
                ' ' => break,
                '=' if marks.last() != Some(&',') => parts.last_mut()?.push(c),
                ',' | '=' => {
                    marks.push(c);
                    parts.push(String::new());
                }
                c => parts.last_mut()?.push(c),
            }
        }
        let mut parts = parts.into_iter();
        let measurement = parts.next()?;
        let mut tags = Vec::new();
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            tags.push((key, value));
        }
        Some((measurement, tags))
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_back_as_one_line(
            cooperative in "\\PC{0,12}", device in ".{0,12}", metric in "[a-z_#, =\\\\\"\n.]{0,12}", value in any::<f64>(), quality in any::<u8>(),
        ) {
            let mapping = Mapping { cooperative: cooperative.clone(), gateway: "g".to_owned(), ..Mapping::default() };
            let Ok(series) = mapping.series(&device, &metric) else { return Ok(()) };
            let mut out = Vec::new();
            push_sample(&series, &sample(Some(value), quality), &mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(text.matches('\n').count(), 1);
            prop_assert!(text.ends_with('\n'));
            let (measurement, tags) = read(&text).unwrap();
            prop_assert_eq!(measurement, metric);
            let tag = |key: &str| tags.iter().find(|tag| tag.0 == key).map(|tag| tag.1.clone()).unwrap_or_default();
            prop_assert_eq!(tag("device"), device);
            prop_assert_eq!(tag("cooperative"), cooperative);
            if let Some(back) = text.split("value=").nth(1).filter(|_| value.is_finite()) {
                let back: f64 = back.split(',').next().unwrap().parse().unwrap();
                prop_assert!(back.to_bits() == value.to_bits());
            }
        }
    }
}
