//! What a probe can measure: one table with the code on the wire, the name in histories, the unit, the decimals of the
//! integer that carries it, and the range in which a value is possible at all.
//!
//! A value travels as an integer in steps of 10^-decimals of the unit, so that what a station wrote comes back exactly:
//! dividing two integers that a double holds gives the double nearest to the decimal number (IEEE 754 §5.4.1).

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    metric: Metric,
    name: &'static str,
    unit: &'static str,
    decimals: u8,
    possible: (i32, i32),
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $unit:literal, $decimals:literal, $min:literal ..= $max:literal;)*) => {
        /// A measured quantity; its unit and decimals never change, a new meaning gets a new code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Metric { $($(#[$doc])* $variant = $code,)* }

        const ROWS: &[Row] = &[$(Row { metric: Metric::$variant, name: $name, unit: $unit, decimals: $decimals, possible: ($min, $max) }),*];

        impl Metric {
            /// Every metric, in order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The metric of a code on the wire, `None` where this version does not know it.
            #[must_use]
            pub const fn from_wire(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            const fn row(self) -> Row {
                match self { $(Self::$variant => Row { metric: Self::$variant, name: $name, unit: $unit, decimals: $decimals, possible: ($min, $max) },)* }
            }
        }
    };
}

metrics! {
    /// Soil moisture as the farm reads it, % of volume (or of the probe's dry–wet span where it has no soil calibration).
    SoilMoisture = 1, "soil_moisture", "%", 2, 0..=10_000;
    /// Volumetric water content as research stations write it, m³/m³.
    SoilVwc = 2, "soil_vwc", "m3/m3", 4, 0..=10_000;
    /// Soil temperature, °C.
    SoilTemperature = 3, "soil_temperature", "°C", 2, -4000..=8000;
    /// Electrical conductivity of the soil, µS/cm.
    SoilEc = 4, "soil_ec", "uS/cm", 0, 0..=20_000;
    /// Soil water tension, kPa (= cbar).
    SoilTension = 5, "soil_tension", "kPa", 1, 0..=20_000;
    /// Air temperature, °C.
    AirTemperature = 6, "air_temperature", "°C", 2, -5000..=6000;
    /// Relative humidity of the air, %.
    RelativeHumidity = 7, "relative_humidity", "%", 3, 0..=100_000;
    /// Rain since the previous reading, mm.
    Rain = 8, "rain", "mm", 3, 0..=500_000;
    /// Air pressure, kPa.
    AirPressure = 9, "air_pressure", "kPa", 2, 5000..=11_500;
    /// Wind speed, m/s.
    WindSpeed = 10, "wind_speed", "m/s", 2, 0..=9000;
    /// Solar radiation summed since the previous reading, MJ/m².
    SolarRadiation = 11, "solar_radiation", "MJ/m2", 3, 0..=50_000;
    /// Vapour pressure deficit, kPa.
    VapourPressureDeficit = 12, "vapour_pressure_deficit", "kPa", 2, 0..=2000;
    /// Supply or battery, mV.
    Battery = 13, "battery", "mV", 1, 0..=600_000;
    /// Flow through a water meter, L/h.
    Flow = 14, "flow", "L/h", 1, 0..=100_000_000;
    /// Water through a meter since the node's boot, mL.
    WaterVolume = 15, "water_volume", "mL", 0, 0..=2_147_483_647;
    /// Level of a tank, % of its height.
    TankLevel = 16, "tank_level", "%", 2, 0..=10_000;
    /// Float switch of a tank: 1 while the water reaches it, else 0.
    TankFloat = 17, "tank_float", "0/1", 0, 0..=1;
    /// Pressure switch of a pipe: 1 while there is pressure, else 0.
    PressureSwitch = 18, "pressure_switch", "0/1", 0, 0..=1;
    /// What is left in a battery, by its voltage at rest, %.
    BatteryCharge = 19, "battery_charge", "%", 0, 0..=100;
    /// Acidity of the soil as a probe tells it, pH.
    SoilPh = 20, "soil_ph", "pH", 2, 0..=1400;
    /// Nitrogen in the soil as a probe reckons it from conductivity, mg/kg: for reference, no laboratory value.
    SoilNitrogen = 21, "soil_nitrogen", "mg/kg", 0, 0..=20_000;
    /// Phosphorus in the soil, likewise, mg/kg.
    SoilPhosphorus = 22, "soil_phosphorus", "mg/kg", 0, 0..=20_000;
    /// Potassium in the soil, likewise, mg/kg.
    SoilPotassium = 23, "soil_potassium", "mg/kg", 0, 0..=20_000;
    /// Salt in the soil's water as a probe reckons it from conductivity, mg/L.
    SoilSalinity = 24, "soil_salinity", "mg/L", 0, 0..=20_000;
    /// Dissolved solids in the soil's water, likewise, mg/L.
    SoilTds = 25, "soil_tds", "mg/L", 0, 0..=20_000;
    /// Permittivity of the soil against that of a vacuum: 1 is air, 80 is water.
    SoilPermittivity = 26, "soil_permittivity", "", 2, 100..=10_000;
}

impl Metric {
    /// Code on the wire.
    #[must_use]
    pub const fn wire(self) -> u8 {
        self as u8
    }

    /// Name in histories and interfaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The unit, as it stands in a label.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        self.row().unit
    }

    /// Digits after the decimal point of the integer that carries a value.
    #[must_use]
    pub const fn decimals(self) -> u8 {
        self.row().decimals
    }

    /// Whether a value, in steps of 10^-decimals, can occur in nature at all.
    #[must_use]
    pub const fn is_possible(self, value: i32) -> bool {
        let (min, max) = self.row().possible;
        min <= value && value <= max
    }

    /// The metric of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.metric)
    }

    /// A carried integer as a number in the unit: the double nearest to the decimal value.
    #[must_use]
    pub fn to_f64(self, value: i32) -> f64 {
        f64::from(value) / self.scale()
    }

    /// A number in the unit as the carried integer, or `None` when it is no number, too large, or has more decimals
    /// than the metric carries.
    #[must_use]
    pub fn from_f64(self, number: f64) -> Option<i32> {
        let scaled = number * self.scale();
        if !(-2_147_483_648.0..=2_147_483_647.0).contains(&scaled) {
            return None;
        }
        let half = if scaled < 0.0 { -0.5 } else { 0.5 };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "range checked above; `as` saturates at the ends"
        )]
        let value = (scaled + half) as i32;
        // Exact both ways, or the value would change on its way through the node.
        (self.to_f64(value).to_bits() == (number + 0.0).to_bits()).then_some(value)
    }

    fn scale(self) -> f64 {
        let mut scale = 1.0;
        for _ in 0..self.decimals() {
            scale *= 10.0;
        }
        scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_consistent() {
        for &metric in Metric::ALL {
            assert_eq!(Metric::from_wire(metric.wire()), Some(metric));
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
            assert!(metric.decimals() <= 4);
        }
        assert_eq!(Metric::from_wire(0), None);
        assert_eq!(Metric::from_name("moisture"), None);
    }

    #[test]
    fn decimals_come_back_exactly() {
        for thousandth in -50_000..=50_000_i32 {
            let number = f64::from(thousandth) / 1000.0;
            let carried = Metric::Rain.from_f64(number);
            assert_eq!(carried, Some(thousandth));
            assert_eq!(carried.map(|v| Metric::Rain.to_f64(v)), Some(number));
        }
    }

    #[test]
    fn what_would_be_rounded_is_refused() {
        assert_eq!(Metric::SoilTemperature.from_f64(21.234), None);
        assert_eq!(Metric::Battery.from_f64(f64::NAN), None);
        assert_eq!(Metric::Battery.from_f64(1e12), None);
        assert_eq!(Metric::SoilTemperature.from_f64(-0.0), Some(0));
    }

    #[test]
    fn impossible_values_are_known() {
        assert!(Metric::RelativeHumidity.is_possible(100_000));
        assert!(!Metric::RelativeHumidity.is_possible(101_486));
    }
}
