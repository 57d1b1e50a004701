//! The rules of what is watched beside the soil: meters, flow limits, tanks, pressure, rain, frost → the engine's guards.
//! What only the whole plan can judge the engine judges.

use super::compile::Compiler;
use super::raw;
use giot_engine::{
    ContactGuard, FarmGuards, FlowLimits, FrostGuard, GuardAction, Ignores, Meter, MeterKind, PressureGuard,
    ProbeRef, RainGuard, SourceGuards, TankGuard, Twins, WaterResponse, ZoneGuards,
};
use giot_shared::metric::Metric;
use giot_shared::units::{LitresPerHour, Millilitres};
use toml::Spanned;

/// A level counts for so long: three missed readings of the usual ten minutes.
const TANK_FRESH_MIN: f64 = 30.0;
/// A temperature counts for so long: frost lasts a night, stations report at least hourly.
const FROST_FRESH_MIN: f64 = 120.0;
/// Drops freeze below; domain.md section 3. It must be clearly warmer before water flows again.
const FROST_BELOW_MILLI: i64 = 2000;
const FROST_CLEAR_MILLI: i64 = 4000;
/// Rain of a day counts.
const RAIN_HOURS: u32 = 24;
/// A drizzle of five minutes is no rain, and a field that was rained on needs no water for half a day.
const CONTACT_ON_DELAY_MIN: f64 = 5.0;
const RAIN_CONTACT_OFF_DELAY_MIN: f64 = 720.0;
/// A contact in the soil says itself when the soil is no longer wet.
const SOIL_CONTACT_OFF_DELAY_MIN: f64 = 5.0;
/// Makers cut after 30 to 60 seconds; domain.md section 3.
const PRESSURE_DELAY_S: u32 = 45;
const DAY_MIN: f64 = 1440.0;

impl Compiler<'_> {
    pub(super) fn zone_guards(&mut self, zone: &raw::Zone, field: &str) -> ZoneGuards {
        let ignores = zone.ignores.as_ref().map(|words| self.ignores(words, &format!("{field}.ignores")));
        let volume_max = zone.volume_max_l.as_ref().map(|litres| {
            let ml = self.milli(litres, &format!("{field}.volume_max_l"), i64::MAX);
            // Less than nothing is no more than nothing, which the plan's check tells.
            Millilitres(u32::try_from(ml.max(0)).unwrap_or(u32::MAX))
        });
        ZoneGuards {
            meter: zone.meter.as_ref().and_then(|meter| self.meter(meter, &format!("{field}.meter"))),
            flow: self.flow_limits(zone.flow.as_ref(), &format!("{field}.flow")),
            ignores: ignores.unwrap_or_default(),
            volume_max,
            // What probes should say the same is known where probes are.
            twins: Twins::default(),
            response: WaterResponse::default(),
        }
    }

    pub(super) fn source_guards(&mut self, source: &raw::Source, field: &str) -> SourceGuards {
        SourceGuards {
            meter: source.meter.as_ref().and_then(|meter| self.meter(meter, &format!("{field}.meter"))),
            flow: self.flow_limits(source.flow.as_ref(), &format!("{field}.flow")),
            tank: source.tank.as_ref().and_then(|tank| self.tank(tank, &format!("{field}.tank"))),
            pressure: source
                .pressure
                .as_ref()
                .and_then(|pressure| self.pressure(pressure, &format!("{field}.pressure"))),
        }
    }

    pub(super) fn farm_guards(&mut self, guards: &raw::Guards) -> FarmGuards {
        FarmGuards {
            rain: guards.rain.as_ref().and_then(|rain| {
                let limit_milli = self.milli(&rain.limit_mm, "guards.rain.limit_mm", 1000);
                Some(RainGuard {
                    gauge: self.gauge(&rain.gauge, "guards.rain.gauge")?,
                    limit_milli,
                    hours: rain.hours.unwrap_or(RAIN_HOURS),
                })
            }),
            rain_contact: guards
                .rain_contact
                .as_ref()
                .and_then(|contact| self.contact(contact, "guards.rain_contact", RAIN_CONTACT_OFF_DELAY_MIN)),
            soil_contact: guards
                .soil_contact
                .as_ref()
                .and_then(|contact| self.contact(contact, "guards.soil_contact", SOIL_CONTACT_OFF_DELAY_MIN)),
            frost: guards.frost.as_ref().and_then(|frost| {
                let fresh_s =
                    self.guard_minutes(frost.fresh_min.as_ref(), "guards.frost.fresh_min", FROST_FRESH_MIN);
                let mut degrees = |value: Option<&Spanned<f64>>, key: &str, default_milli: i64| {
                    value.map_or(default_milli, |value| {
                        self.milli(value, &format!("guards.frost.{key}"), default_milli)
                    })
                };
                let below_milli = degrees(frost.below_c.as_ref(), "below_c", FROST_BELOW_MILLI);
                let clear_milli = degrees(frost.clear_c.as_ref(), "clear_c", FROST_CLEAR_MILLI);
                let gauge = self.gauge(&frost.gauge, "guards.frost.gauge")?;
                Some(FrostGuard { gauge, below_milli, clear_milli, fresh_s })
            }),
        }
    }

    fn contact(&mut self, contact: &raw::Contact, field: &str, off_delay_min: f64) -> Option<ContactGuard> {
        let on_field = format!("{field}.on_delay_min");
        let on_delay_s = self.guard_minutes(contact.on_delay_min.as_ref(), &on_field, CONTACT_ON_DELAY_MIN);
        let off_field = format!("{field}.off_delay_min");
        let off_delay_s = self.guard_minutes(contact.off_delay_min.as_ref(), &off_field, off_delay_min);
        let gauge = self.gauge(&contact.gauge, &format!("{field}.gauge"))?;
        Some(ContactGuard { gauge, on_delay_s, off_delay_s })
    }

    /// A gauge; one that cannot be told gets a stand-in, so that the rest of its table is judged.
    fn gauge(&mut self, gauge: &raw::Gauge, field: &str) -> Option<ProbeRef> {
        let device = self.id_or_stand_in(&gauge.device, &format!("{field}.device"), 0);
        let metric = self.id_or_stand_in(&gauge.metric, &format!("{field}.metric"), 0);
        Some(ProbeRef { device: device?, metric: metric? })
    }

    /// A meter: a metric named after the flow tells flow, one named after the volume counts.
    fn meter(&mut self, meter: &raw::Gauge, field: &str) -> Option<Meter> {
        let gauge = self.gauge(meter, field)?;
        let is = |metric: Metric| gauge.metric.as_str().starts_with(metric.name());
        let kind = if is(Metric::Flow) {
            MeterKind::Flow
        } else if is(Metric::WaterVolume) {
            MeterKind::Volume
        } else {
            self.problem(
                meter.metric.span(),
                &format!("{field}.metric"),
                "a meter's metric begins with flow (L/h) or water_volume (mL)",
            );
            return None;
        };
        Some(Meter { gauge, kind })
    }

    fn tank(&mut self, tank: &raw::Tank, field: &str) -> Option<TankGuard> {
        let min_milli = self.milli(&tank.min, &format!("{field}.min"), 0);
        let resume = tank.resume.as_ref();
        let resume_milli =
            resume.map_or(min_milli, |resume| self.milli(resume, &format!("{field}.resume"), min_milli));
        let fresh_s =
            self.guard_minutes(tank.fresh_min.as_ref(), &format!("{field}.fresh_min"), TANK_FRESH_MIN);
        let gauge = self.gauge(&tank.gauge, &format!("{field}.gauge"))?;
        Some(TankGuard { gauge, min_milli, resume_milli, fresh_s })
    }

    fn pressure(&mut self, pressure: &raw::Pressure, field: &str) -> Option<PressureGuard> {
        let gauge = self.gauge(&pressure.gauge, &format!("{field}.gauge"))?;
        let min = pressure.min_kpa.as_ref().map(|kpa| self.milli(kpa, &format!("{field}.min_kpa"), 0));
        let max = pressure.max_kpa.as_ref().map(|kpa| self.milli(kpa, &format!("{field}.max_kpa"), i64::MAX));
        let delay_s = pressure.delay_s.unwrap_or(PRESSURE_DELAY_S);
        Some(PressureGuard { gauge, min_milli: min, max_milli: max, delay_s })
    }

    fn flow_limits(&mut self, flow: Option<&raw::Flow>, field: &str) -> FlowLimits {
        let usual = FlowLimits::default();
        let Some(flow) = flow else { return usual };
        let mut action = |word: Option<&Spanned<String>>, key: &str, default: GuardAction| {
            let words = [
                ("alert", GuardAction::Alert),
                ("stop_zone", GuardAction::StopZone),
                ("stop_source", GuardAction::StopSource),
            ];
            let Some(word) = word else { return default };
            self.word(Some(word), &format!("{field}.{key}"), &words).unwrap_or(default)
        };
        FlowLimits {
            ignore_s: flow.ignore_s.unwrap_or(usual.ignore_s),
            high_percent: flow.high_percent.unwrap_or(usual.high_percent),
            high_delay_s: flow.high_delay_s.unwrap_or(usual.high_delay_s),
            high: action(flow.high.as_ref(), "high", usual.high),
            low_percent: flow.low_percent.unwrap_or(usual.low_percent),
            low_delay_s: flow.low_delay_s.unwrap_or(usual.low_delay_s),
            low: action(flow.low.as_ref(), "low", usual.low),
            none_percent: flow.none_percent.unwrap_or(usual.none_percent),
            none_delay_s: flow.none_delay_s.unwrap_or(usual.none_delay_s),
            none: action(flow.none.as_ref(), "none", usual.none),
            leak_l_per_h: flow.leak_l_per_h.map_or(usual.leak_l_per_h, LitresPerHour),
            leak_ignore_s: flow.leak_ignore_s.unwrap_or(usual.leak_ignore_s),
            leak_delay_s: flow.leak_delay_s.unwrap_or(usual.leak_delay_s),
            leak: action(flow.leak.as_ref(), "leak", usual.leak),
        }
    }

    fn ignores(&mut self, words: &Spanned<Vec<String>>, field: &str) -> Ignores {
        let mut ignores = Ignores::default();
        for (idx, word) in words.get_ref().iter().enumerate() {
            match word.as_str() {
                "rain" => ignores.rain = true,
                "rain_contact" => ignores.rain_contact = true,
                "soil_contact" => ignores.soil_contact = true,
                "frost" => ignores.frost = true,
                "rain_delay" => ignores.rain_delay = true,
                _ => self.problem_at(
                    &format!("{field}[{idx}]"),
                    "a list of \"rain\", \"rain_contact\", \"soil_contact\", \"frost\" and \"rain_delay\"",
                ),
            }
        }
        ignores
    }

    fn guard_minutes(&mut self, minutes: Option<&Spanned<f64>>, field: &str, default_min: f64) -> u32 {
        self.seconds(minutes, field, default_min, DAY_MIN)
    }

    /// A number as thousandths; what else is taken where it is none.
    fn milli(&mut self, number: &Spanned<f64>, field: &str, stand_in: i64) -> i64 {
        let milli = to_milli(*number.get_ref()).filter(|milli| milli.abs() <= 1_000_000_000);
        if milli.is_none() {
            self.problem(number.span(), field, "a number between -1,000,000 and 1,000,000");
        }
        milli.filter(|_| !self.is_spoilt(field)).unwrap_or(stand_in)
    }
}

/// A number as thousandths; `None` beyond a million million: a meter that counts millilitres for a century.
pub(crate) fn to_milli(number: f64) -> Option<i64> {
    if !(-1e12..=1e12).contains(&number) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "range checked above")]
    let milli = (number * 1000.0).round() as i64;
    Some(milli)
}
