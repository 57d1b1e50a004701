//! What a zone's soil lacks, as somebody outside counts it from weather and water, and how long a run gives it back.
//!
//! The count has a moment and an end: what was given after the moment comes off, and after the end nobody relies on it. A
//! refill gives what is lacking once, never more: what waits or runs already counts as given.

use std::collections::BTreeMap;

use giot_shared::time::UnixMs;

use super::amount::Target;
use super::site::ZoneFacts;
use crate::ids::ZoneId;
use crate::reason::Reason;

/// A depth of water over a zone's whole area, in hundredths of a millimetre.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millimetres(u32);

impl Millimetres {
    /// More than any soil under any crop holds, mm.
    const MAX: f64 = 10_000.0;

    /// So many hundredths of a millimetre.
    #[must_use]
    pub const fn hundredths(hundredths: u32) -> Self {
        Self(hundredths)
    }

    /// The nearest depth to a number of millimetres; what is negative is nothing, what is no number neither.
    #[must_use]
    pub fn nearest(mm: f64) -> Self {
        let mm = if mm.is_finite() { mm.clamp(0.0, Self::MAX) } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range clamped above")]
        Self((mm * 100.0 + 0.5) as u32)
    }

    /// Hundredths of a millimetre.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The depth in millimetres.
    #[must_use]
    pub fn in_mm(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// What a zone's root zone lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Up to when it was counted.
    pub counted_at: UnixMs,
    /// Until when it may be relied on.
    pub until: UnixMs,
    /// What is missing to field capacity, net.
    pub lack: Millimetres,
    /// What the root zone holds for plants between field capacity and wilting point.
    pub available: Millimetres,
    /// Share of the water given that reaches the roots, 1/10 000.
    pub efficiency: u16,
    /// Days among those counted whose evapotranspiration had to be guessed.
    pub n_guessed: u32,
}

/// What is known of a zone: a count, or the code of what keeps it from being counted.
pub type LackState = Result<Lack, String>;

/// What is known of each zone.
pub type Lacks = BTreeMap<ZoneId, LackState>;

impl Lack {
    /// The count after so much water, gross, ml over `area_dm2`.
    #[must_use]
    pub fn after_ml(self, given_ml: u64, area_dm2: u32) -> Self {
        // 1/100 mm on 1 dm² is 0.1 ml.
        let gross = u128::from(given_ml) * 10 / u128::from(area_dm2.max(1));
        let net = gross * u128::from(self.efficiency) / 10_000;
        let given = Millimetres(u32::try_from(net).unwrap_or(u32::MAX));
        Self { lack: self.lack.minus(given), ..self }
    }

    /// The lack from which on water is given, for a share of the available water in 1/10 000.
    #[must_use]
    pub fn start(&self, from_depleted: u16) -> Millimetres {
        let start = (u64::from(self.available.0) * u64::from(from_depleted)).div_ceil(10_000);
        Millimetres(u32::try_from(start).unwrap_or(u32::MAX))
    }
}

/// How long a zone is watered at a moment to give back what it lacks, ms, with what people should know of it.
///
/// # Errors
/// Why nothing is given.
pub(super) fn refill(
    from_depleted: u16,
    state: Option<&LackState>,
    zone: &ZoneFacts,
    at: UnixMs,
) -> Result<(u64, Vec<Reason>), Reason> {
    let lack = match state {
        None => return Err(Reason::BalanceUnknown { cause: "not_counted".to_owned() }),
        Some(Err(cause)) => return Err(Reason::BalanceUnknown { cause: cause.clone() }),
        Some(Ok(lack)) => lack,
    };
    if at > lack.until {
        let (age_s, fresh_s) =
            (at.since_ms(lack.counted_at) / 1000, lack.until.since_ms(lack.counted_at) / 1000);
        return Err(Reason::BalanceStale { age_s, fresh_s });
    }
    let start_mm = lack.start(from_depleted);
    if lack.lack == Millimetres::default() || lack.lack < start_mm {
        return Err(Reason::EnoughWater { lack_mm: lack.lack, start_mm, available_mm: lack.available });
    }
    let gross = u64::from(lack.lack.0) * 10_000 / u64::from(lack.efficiency.max(1));
    let gross_mm = Millimetres(u32::try_from(gross).unwrap_or(u32::MAX));
    let run_ms = Target::Depth { depth_um: u64::from(gross_mm.0) * 10 }.run_ms(zone);
    let run_ms = run_ms.map_err(|error| Reason::InvalidPlan { problem: error.code().to_owned() })?;
    let mut notes = vec![Reason::Refill { lack_mm: lack.lack, available_mm: lack.available, gross_mm }];
    if lack.n_guessed > 0 {
        notes.push(Reason::WeatherGuessed { n_days: lack.n_guessed });
    }
    Ok((run_ms, notes))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::zone_facts;
    use super::*;

    const AT: UnixMs = UnixMs(1_790_000_000_000);

    fn lack(lack_mm: f64) -> Lack {
        Lack {
            counted_at: AT,
            until: AT.plus_ms(36 * 3_600_000),
            lack: Millimetres::nearest(lack_mm),
            available: Millimetres::nearest(60.0),
            efficiency: 9000,
            n_guessed: 0,
        }
    }

    /// 2 500 m² and 1 600 L/h: 0.64 mm an hour.
    fn facts() -> ZoneFacts {
        ZoneFacts { flow_ml_h: Some(1_600_000), area_dm2: Some(250_000), ..zone_facts("pump") }
    }

    #[track_caller]
    fn check(from_depleted: u16, state: Option<LackState>, hours: u64, want: Result<u64, &str>) {
        let found = refill(from_depleted, state.as_ref(), &facts(), AT.plus_ms(hours * 3_600_000));
        assert_eq!(found.map(|(run_ms, _)| run_ms / 1000).map_err(|reason| reason.code()), want);
    }

    #[test]
    fn a_refill_gives_what_is_lacking_and_says_why_it_does_not() {
        // 7.2 mm net are 8 mm gross: 12.5 hours.
        check(0, Some(Ok(lack(7.2))), 0, Ok(45_000));
        check(1200, Some(Ok(lack(7.2))), 0, Ok(45_000));
        check(1201, Some(Ok(lack(7.2))), 0, Err("enough_water"));
        check(0, Some(Ok(lack(0.0))), 0, Err("enough_water"));
        check(0, Some(Ok(lack(7.2))), 37, Err("balance_stale"));
        check(0, Some(Err("no_weather".to_owned())), 0, Err("balance_unknown"));
        check(0, None, 0, Err("balance_unknown"));
    }

    #[test]
    fn water_that_was_given_comes_off_net() {
        // 8 mm gross over 2 500 m² are 20 m³.
        assert_eq!(lack(7.2).after_ml(20_000_000, 250_000).lack, Millimetres::default());
        assert_eq!(lack(7.2).after_ml(10_000_000, 250_000).lack.get(), 360);
        assert_eq!(lack(7.2).after_ml(0, 0).lack.get(), 720);
        assert_eq!(lack(7.2).after_ml(u64::MAX, 1).lack, Millimetres::default());
    }

    #[test]
    fn guessed_weather_is_told() {
        let guessed = Lack { n_guessed: 2, ..lack(7.2) };
        let (_, notes) = refill(0, Some(&Ok(guessed)), &facts(), AT).unwrap();
        let codes: Vec<&str> = notes.iter().map(Reason::code).collect();
        assert_eq!(codes, ["refill", "weather_guessed"]);
    }
}
