//! The days of a season: weather from its file, reference evapotranspiration, irrigation and what was observed.

use super::compile::{Compiler, Span};
use super::raw;
use crate::agro::sheet::{Place, Sheet, failed};
use crate::agro::weather::{StationDay, read_season, with_remedy};
use crate::config::{Problem, line_of};
use chrono::NaiveDate;
use giot_engine::agro::{
    Clock, DayInput, Et0Choice, InputError, Observed, SeasonPlan, Site, Standard, TemperatureOnly, Watering,
    degree_days, et0_day, soil, water_content_max,
};
use std::collections::BTreeMap;
use toml::Spanned;

/// The days from the first of the season on, as far as the weather goes.
pub(super) struct SeasonDays {
    pub(super) inputs: Vec<DayInput>,
    /// How many of them are the season's.
    pub(super) n_days: usize,
    pub(super) unknown_columns: Vec<String>,
}

impl SeasonDays {
    /// The plan with its coefficients made for the climate of its stages.
    pub(super) fn adjust(&self, mut plan: SeasonPlan) -> SeasonPlan {
        let mut progress = plan.start.progress;
        let mut climate = Vec::with_capacity(self.inputs.len());
        for day in &self.inputs {
            climate.push((progress, day.u2_ms, day.rhmin));
            progress += match (plan.crop.stages.clock, day.extremes_c) {
                (Clock::Days, _) => 1.0,
                (Clock::DegreeDays { base_c, upper_c }, Some((tmin_c, tmax_c))) => {
                    degree_days(tmin_c, tmax_c, base_c, upper_c)
                }
                (Clock::DegreeDays { .. }, None) => 0.0,
            };
        }
        plan.crop = plan.crop.for_climate(&climate);
        plan
    }
}

impl Compiler<'_> {
    /// The days of the season; `None` where a problem was noted.
    pub(super) fn days(
        &mut self,
        raw: &raw::File,
        span: Option<&Span>,
        site: Option<&Site>,
        read_file: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Option<SeasonDays> {
        let weather = self.weather(&raw.weather, read_file);
        let (Some((place, sheet)), Some(span), Some(site)) = (weather, span, site) else { return None };
        let stations = self.by_date(span, &place, &sheet)?;
        let mut inputs = self.inputs(raw, site, &place, &stations)?;
        let n_days = usize::try_from(span.idx(span.last)).ok()? + 1;
        self.irrigation(span, &raw.irrigation, &mut inputs);
        self.observed(span, &raw.observed, content_max(&raw.soil), &mut inputs);
        Some(SeasonDays { inputs, n_days, unknown_columns: sheet.unknown })
    }

    fn weather(
        &mut self,
        raw: &Spanned<raw::Weather>,
        read_file: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Option<(Place, Sheet<StationDay>)> {
        let (place, bytes) = match (&raw.get_ref().file, &raw.get_ref().csv) {
            (Some(file), None) => match read_file(file.get_ref()) {
                Ok(bytes) => (Place { file: file.get_ref().clone(), n_lines_before: 0 }, bytes),
                Err(error) => {
                    self.problem(file.span(), "weather.file", error);
                    return None;
                }
            },
            (None, Some(csv)) => (self.inline_place(csv), csv.get_ref().clone().into_bytes()),
            _ => {
                let what = "give `file`, a CSV beside this one, or `csv`, the rows themselves; not both";
                self.problem(raw.span(), "weather", what);
                return None;
            }
        };
        match read_season(&place, &bytes) {
            Ok(sheet) => Some((place, sheet)),
            Err(error) => {
                self.other_files.push(error);
                None
            }
        }
    }

    /// Where the text of a value begins: TOML drops a line end right behind three quotes.
    fn inline_place(&self, csv: &Spanned<String>) -> Place {
        let begin = csv.span().start;
        let quoted = self.text.get(begin..).unwrap_or_default();
        let drops_line = ["\"\"\"", "'''"]
            .iter()
            .any(|quotes| quoted.strip_prefix(quotes).is_some_and(|rest| rest.starts_with(['\n', '\r'])));
        Place {
            file: self.file.to_owned(),
            n_lines_before: line_of(self.text, begin) - 1 + usize::from(drops_line),
        }
    }

    /// The weather from the season's first day on, without a gap within it.
    fn by_date(&mut self, span: &Span, place: &Place, sheet: &Sheet<StationDay>) -> Option<Vec<StationDay>> {
        let mut by_date: BTreeMap<NaiveDate, StationDay> = BTreeMap::new();
        let mut problems = Vec::new();
        for day in &sheet.rows {
            if let Some(other) = by_date.insert(day.date, *day) {
                let what = format!("{} stands on line {} already: leave one out", day.date, other.line);
                problems.push(Problem { line: Some(day.line), column: None, field: "date".to_owned(), what });
            }
        }
        let mut days = Vec::new();
        for date in span.first.iter_days() {
            match by_date.get(&date) {
                Some(day) => days.push(*day),
                None if date > span.last => break,
                None => {
                    let what =
                        format!("{date} is missing: every day from season.first to season.last is needed");
                    problems.push(Problem { line: None, column: None, field: "date".to_owned(), what });
                }
            }
        }
        if problems.is_empty() {
            return Some(days);
        }
        self.other_files.push(failed(place, problems));
        None
    }

    fn inputs(
        &mut self,
        raw: &raw::File,
        site: &Site,
        place: &Place,
        stations: &[StationDay],
    ) -> Option<Vec<DayInput>> {
        let choice = self.choice(&raw.rules);
        let needs_warmth = raw.crop.stage_degree_days.is_some();
        let mut problems = Vec::new();
        let mut inputs = Vec::with_capacity(stations.len());
        for station in stations {
            match input(site, &choice, station, needs_warmth) {
                Ok(input) => inputs.push(input),
                Err(error) => problems.push(Problem {
                    line: Some(station.line),
                    column: None,
                    field: error.field().to_owned(),
                    what: with_remedy(&error),
                }),
            }
        }
        if problems.is_empty() {
            return Some(inputs);
        }
        self.other_files.push(failed(place, problems));
        None
    }

    fn choice(&mut self, raw: &raw::Rules) -> Et0Choice {
        let wind_min_ms = raw.wind_min_ms.as_ref().map_or(0.0, |wind| {
            let wind_ms = *wind.get_ref();
            if !(0.0..=2.0).contains(&wind_ms) {
                self.problem(wind.span(), "rules.wind_min_ms", "between 0 and 2 m/s; FAO-56 recommends 0.5");
            }
            wind_ms
        });
        Et0Choice {
            standard: match raw.reference {
                raw::Reference::AsceShort => Standard::AsceShort,
                raw::Reference::AsceTall => Standard::AsceTall,
                raw::Reference::Fao56 => Standard::Fao56,
            },
            temperature_only: match raw.temperature_only {
                raw::TemperatureOnly::PenmanMonteith => TemperatureOnly::PenmanMonteith,
                raw::TemperatureOnly::Hargreaves => TemperatureOnly::Hargreaves,
            },
            wind_min_ms,
            ..Et0Choice::default()
        }
    }

    fn irrigation(&mut self, span: &Span, raw: &[raw::Irrigation], days: &mut [DayInput]) {
        for (idx, irrigation) in raw.iter().enumerate() {
            let field = format!("irrigation[{idx}]");
            let Some(day) = self.day_of(span, &field, &irrigation.date, days) else { continue };
            if day.watering.is_some() {
                self.problem(
                    irrigation.date.span(),
                    &field,
                    "a second irrigation of this day: add the depths up",
                );
                continue;
            }
            let efficiency_percent =
                irrigation.efficiency_percent.as_ref().map_or(100.0, |value| *value.get_ref());
            if !(1.0..=100.0).contains(&efficiency_percent) {
                let place = irrigation.efficiency_percent.as_ref().map(Spanned::span);
                let field = format!("{field}.efficiency_percent");
                self.problem(place, &field, format_args!("{efficiency_percent} is not between 1 and 100 %"));
                continue;
            }
            day.watering = Some(Watering {
                depth_mm: *irrigation.depth_mm.get_ref(),
                wetted: *irrigation.wetted.get_ref(),
                efficiency: efficiency_percent / 100.0,
            });
            self.check_day(day, &field, irrigation.depth_mm.span());
        }
    }

    fn observed(&mut self, span: &Span, raw: &[raw::Observed], most: f64, days: &mut [DayInput]) {
        for (idx, observed) in raw.iter().enumerate() {
            let field = format!("observed[{idx}]");
            let Some(day) = self.day_of(span, &field, &observed.date, days) else { continue };
            let number = |value: &raw::Number| value.as_ref().map(|value| *value.get_ref());
            day.water_content = number(&observed.water_content);
            if let Some(content) = observed.water_content.as_ref().filter(|content| *content.get_ref() > most)
            {
                let error =
                    InputError::AboveSaturation { field: "water_content", value: *content.get_ref(), most };
                self.problem(content.span(), &format!("{field}.water_content"), error);
                continue;
            }
            day.observed = Observed {
                kcb: number(&observed.kcb),
                height_m: number(&observed.height_m),
                cover: number(&observed.canopy_cover),
            };
            self.check_day(day, &field, observed.date.span());
        }
    }

    /// The day of a date, which must lie in the season.
    fn day_of<'d>(
        &mut self,
        span: &Span,
        field: &str,
        date: &raw::Date,
        days: &'d mut [DayInput],
    ) -> Option<&'d mut DayInput> {
        let day = self.date(&format!("{field}.date"), date)?;
        if day > span.last || day < span.first {
            self.problem(date.span(), &format!("{field}.date"), "not between season.first and season.last");
            return None;
        }
        days.get_mut(usize::try_from(span.idx(day)).ok()?)
    }

    fn check_day(&mut self, day: &DayInput, field: &str, place: std::ops::Range<usize>) {
        if let Err(error) = day.check() {
            // The engine names the day's own quantity.
            let key = match error.field() {
                "irrigation_mm" => "depth_mm",
                key => key,
            };
            self.problem(place, &format!("{field}.{key}"), error);
        }
    }
}

/// The most water that the soil of a season can hold, m³/m³, by the highest field capacity that is stated.
fn content_max(raw: &raw::Soil) -> f64 {
    let of_table = raw.id.as_ref().and_then(|id| soil(id.get_ref())).map(|soil| soil.field_capacity.1);
    let of_layers = raw.layers.iter().flat_map(|layers| layers.get_ref()).map(|layer| layer.field_capacity);
    let stated = raw.field_capacity.as_ref().map(|value| *value.get_ref());
    water_content_max(stated.into_iter().chain(of_layers).chain(of_table).fold(0.0, f64::max))
}

/// One day of a station as the balance takes it.
fn input(
    site: &Site,
    choice: &Et0Choice,
    station: &StationDay,
    needs_warmth: bool,
) -> Result<DayInput, InputError> {
    let weather = &station.weather;
    if needs_warmth && !station.has_extremes {
        return Err(InputError::Missing { field: "tmin_c" });
    }
    let et0_mm = match station.et0_mm {
        Some(et0_mm) => et0_mm,
        None => et0_day(site, weather, choice)?.et0_mm,
    };
    let input = DayInput {
        et0_mm,
        rain_mm: station.rain_mm.unwrap_or_default(),
        u2_ms: weather.u_ms.map(|wind_ms| site.wind(Some(wind_ms)).map(|(u2_ms, _)| u2_ms)).transpose()?,
        rhmin: if station.has_extremes { Some(weather.rhmin_percent()?) } else { weather.rhmin },
        extremes_c: if station.has_extremes { Some(weather.extremes_c()?) } else { None },
        ..DayInput::default()
    };
    input.check()?;
    Ok(input)
}
