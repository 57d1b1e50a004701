//! Agronomy by FAO-56: how much water the air asks for, what the crop takes of it, and what the soil still holds.
//!
//! Pure arithmetic on `f64` through `libm`, so that every machine computes the same bits (P10). No I/O, no clock, no calendar:
//! days are counted and named by their day of the year. It decides nothing about valves.
//!
//! Source to read first: Allen, Pereira, Raes, Smith (1998), FAO Irrigation and Drainage Paper 56; "(6)" is an equation of it.
//! Where two readings of it exist, the choice is an enum and has a name: [`Standard`], [`DayOrder`], [`TemperatureOnly`].
//!
//! | module | holds | FAO-56 |
//! |---|---|---|
//! | [`air`] | pressure, vapour, wind | (7)–(19), (47), (48) |
//! | [`sun`] | radiation | (21)–(44), (50) |
//! | [`Weather`] (`weather`) | one day's measurements: which of them are used, what stands in for the missing ones | chapter 3 |
//! | [`et0_day`] (`et0`) | reference evapotranspiration of a day | (6), (52) |
//! | [`et0_hour`] (`hourly`) | the same of an hour | (53) |
//! | [`Stages`] (`stages`) | the crop's development by days or by warmth | (66), table 11 |
//! | [`kc`] | crop, evaporation and stress coefficients | (62)–(84) |
//! | [`Balance`] (`balance`) | the water in soil and root zone, day by day | (77)–(88) |
//! | [`drip`] | from millimetres to minutes of dripping | |
//! | [`crops()`], [`soils()`] (`crops`, `soils`) | tables with the source and status of each row | tables 11, 12, 17, 19, 22 |

pub mod air;
mod balance;
mod crops;
pub mod drip;
mod error;
mod et0;
mod hourly;
pub mod kc;
mod soils;
mod stages;
pub mod sun;
mod table;
mod weather;

pub use balance::{
    Amount, Automatic, Balance, BelowRow, Canopy, Coefficients, CropPlan, CropRow, DayInput, DayOrder,
    DayRow, Depletion, Drippers, ForecastAction, Layer, Observed, PlanProblem, Profile, RainForecast,
    RootInput, RootRow, RootZone, Rules, SeasonPlan, SoilPlan, StartState, StressCurve, Surface,
    SurfaceInput, SurfaceRow, WaterRow, Watering, runoff_mm, water_content_max,
};
pub use crops::{Crop, Habit, crop, crops};
pub use error::InputError;
pub use et0::{Et0, Et0Choice, Method, Standard, TemperatureOnly, et0_day, hargreaves_mm};
pub use hourly::{HourEt0, HourWeather, NIGHT_RATIO_DEFAULT, et0_hour};
pub use soils::{Soil, soil, soils};
pub use stages::{Clock, Curve, Stage, Stages, degree_days};
pub use table::DataStatus;
pub use weather::{HumidityFrom, RadiationFrom, Site, Weather, WindFrom};
