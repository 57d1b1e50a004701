//! A season in one readable TOML: site, crop, soil, start, weather, irrigation and rules → the engine's plan and days.
//!
//! `raw` mirrors the file and knows no rule; [`read()`] knows the rules and no syntax. Every broken rule is reported at once
//! with its line, also those that only the engine knows. `example.toml` shows every key and is a test.

mod compile;
mod days;
mod plan;
mod raw;

use crate::config::ConfigError;
use chrono::NaiveDate;
use giot_engine::agro::{Balance, DayInput, DayRow, SeasonPlan};

pub use compile::read;

/// A season with every key and its meaning, that computes.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A season that can be computed.
#[derive(Clone, Debug)]
pub struct Season {
    /// Soil, crop, start and rules.
    pub plan: SeasonPlan,
    /// The days from the first to the last.
    pub days: Vec<(NaiveDate, DayInput)>,
    /// Rain of the days after the last that the weather knows, mm: what a forecast sees at the end.
    pub rain_after_mm: Vec<f64>,
    /// Headings of the weather that nobody knows.
    pub unknown_columns: Vec<String>,
}

/// What is wrong with a season: with its own file, or with its weather's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct SeasonError(pub Vec<ConfigError>);

impl Season {
    /// Computes every day.
    ///
    /// # Errors
    /// Only for a plan that [`read()`] did not check, or days that were changed since.
    pub fn rows(&self) -> anyhow::Result<Vec<(NaiveDate, DayRow)>> {
        let mut balance = Balance::new(self.plan.clone()).map_err(|problems| {
            let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!(words.join("\n"))
        })?;
        let rain_mm: Vec<f64> =
            self.days.iter().map(|(_, day)| day.rain_mm).chain(self.rain_after_mm.iter().copied()).collect();
        let mut rows = Vec::with_capacity(self.days.len());
        for (idx, (date, day)) in self.days.iter().enumerate() {
            let ahead = rain_mm.get(idx + 1..).unwrap_or_default();
            let row = balance
                .pass(day, ahead)
                .map_err(|error| anyhow::anyhow!("{date}: {}: {error}", error.field()))?;
            rows.push((*date, row));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
