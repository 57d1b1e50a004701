//! Irrigation by depletion: when the plan waters by itself, and how much.
//!
//! Decides in the morning, from the evening before and the rain to come. It gives depths, not minutes, and opens nothing.

use super::plan::Check;

/// What is done when enough rain is forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForecastAction {
    /// No irrigation today.
    Cancel,
    /// The forecast depth comes off the irrigation.
    Reduce,
}

/// How the forecast counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RainForecast {
    /// From this much rain on, mm over all days.
    pub rain_mm: f64,
    /// Days looked at, today the first.
    pub n_days: usize,
    /// What is done.
    pub action: ForecastAction,
}

/// How much is given, net.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// As much as leaves this share of the available water depleted; 0 refills.
    LeaveShare(f64),
    /// As much as leaves this depletion, mm.
    LeaveDepth(f64),
    /// Always the same, mm.
    Fixed(f64),
}

/// Irrigation by depletion. Every trigger that is set must be met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Automatic {
    /// First day on which it may water, counted from the season's first day, 0.
    pub first_day: usize,
    /// Last such day.
    pub last_day: usize,
    /// Management allowed depletion: waters above this share of the available water.
    pub depletion_share: Option<f64>,
    /// Waters above this depletion, mm.
    pub depletion_mm: Option<f64>,
    /// Waters below this stress coefficient.
    pub ks_below: Option<f64>,
    /// Fewest days from one irrigation to the next.
    pub n_days_between: usize,
    /// What forecast rain does.
    pub forecast: Option<RainForecast>,
    /// How much is given.
    pub amount: Amount,
    /// Share of the water that reaches the soil.
    pub efficiency: f64,
    /// Least depth given, mm gross; also where what is lacking, less the forecast, is nothing.
    pub min_mm: f64,
    /// Greatest depth given, mm gross.
    pub max_mm: f64,
    /// Share of the ground that it wets.
    pub wetted: f64,
}

/// What is known in the morning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Morning<'a> {
    pub(super) day_idx: usize,
    pub(super) dr_mm: f64,
    pub(super) taw_mm: f64,
    pub(super) ks: f64,
    /// What the crop will take today, mm: today's reference with yesterday's coefficient.
    pub(super) et_expected_mm: f64,
    pub(super) last_irrigation_idx: Option<usize>,
    pub(super) rain_today_mm: f64,
    pub(super) rain_after_mm: &'a [f64],
}

impl Automatic {
    /// The depth to give today, mm gross; `None`: no irrigation.
    pub(super) fn decide(&self, morning: &Morning<'_>) -> Option<f64> {
        let day_idx = morning.day_idx;
        if !(self.first_day..=self.last_day).contains(&day_idx) {
            return None;
        }
        let dry = self.depletion_share.is_none_or(|share| morning.dr_mm / morning.taw_mm > share)
            && self.depletion_mm.is_none_or(|depth_mm| morning.dr_mm > depth_mm)
            && self.ks_below.is_none_or(|ks| morning.ks < ks);
        let since = morning.last_irrigation_idx.map_or(day_idx + 1, |last| day_idx - last);
        if !dry || since < self.n_days_between {
            return None;
        }
        let forecast_mm = match self.forecast {
            None => 0.0,
            Some(forecast) => {
                let after_mm: f64 =
                    morning.rain_after_mm.iter().take(forecast.n_days.saturating_sub(1)).sum();
                let rain_mm = morning.rain_today_mm + after_mm;
                match forecast.action {
                    _ if rain_mm < forecast.rain_mm => 0.0,
                    ForecastAction::Cancel => return None,
                    ForecastAction::Reduce => rain_mm,
                }
            }
        };
        let lacking_mm = morning.dr_mm + morning.et_expected_mm;
        let net_mm = match self.amount {
            Amount::LeaveShare(share) => lacking_mm - share * morning.taw_mm,
            Amount::LeaveDepth(depth_mm) => lacking_mm - depth_mm,
            Amount::Fixed(depth_mm) => depth_mm,
        } - forecast_mm;
        let gross_mm = net_mm.max(0.0) / self.efficiency;
        Some(gross_mm.max(self.min_mm).min(self.max_mm)).filter(|gross_mm| *gross_mm > 0.0)
    }

    /// Notes what is wrong with it.
    pub(super) fn check(&self, check: &mut Check) {
        check.rule("automatic.last", self.first_day <= self.last_day, "not before automatic.first");
        check.range("automatic.depletion_share", self.depletion_share.unwrap_or(0.5), 0.0, 1.0);
        check.range("automatic.depletion_mm", self.depletion_mm.unwrap_or(0.0), 0.0, 5000.0);
        check.range("automatic.ks_below", self.ks_below.unwrap_or(1.0), 0.0, 1.0);
        match self.amount {
            Amount::LeaveShare(share) => check.range("automatic.leave_share", share, 0.0, 1.0),
            Amount::LeaveDepth(depth_mm) => check.range("automatic.leave_mm", depth_mm, 0.0, 5000.0),
            Amount::Fixed(depth_mm) => check.range("automatic.fixed_mm", depth_mm, 0.0, 1000.0),
        }
        if let Some(forecast) = self.forecast {
            check.range("automatic.forecast_mm", forecast.rain_mm, 0.0, 1000.0);
            check.rule("automatic.forecast_days", (1..=16).contains(&forecast.n_days), "between 1 and 16");
        }
        check.range("automatic.efficiency_percent", self.efficiency * 100.0, 1.0, 100.0);
        check.range("automatic.min_mm", self.min_mm, 0.0, 1000.0);
        check.rule("automatic.max_mm", self.max_mm >= self.min_mm, "not below automatic.min_mm");
        check.range("automatic.wetted", self.wetted, 0.01, 1.0);
    }
}
