//! Water in the soil of the wetted bulb under the emitters: a column of five layers with a closed balance.
//!
//! Everything is per unit of the *wetted* area: 1 mm is 1 litre on a square metre of bulb, not of field. Water comes
//! as rain and drip, sinks by gravity, spreads by suction, is drawn by roots, and leaves below as drainage or above
//! as runoff. No water appears or vanishes: [`WaterFlux`] of each step accounts for the change of storage.
//!
//! This is a bucket-and-flux model, far from Richards' equation, made to look right to a probe: the shallow reading
//! rises within minutes, the deep one follows, both fall by day and rest at night.
//! Read first: FAO-56 (Allen et al. 1998) chapters 7 and 8, eq. 82–84, table 19.

/// Number of layers.
pub const N_LAYERS: usize = 5;

/// Thickness of each layer from the top, mm: 0–5, 5–15, 15–25, 25–35 and 35–60 cm.
///
/// The three in the middle are centred on 10, 20 and 30 cm, where probes sit: a capacitive probe feels a body of
/// soil about 10 cm high.
pub const LAYER_MM: [f64; N_LAYERS] = [50.0, 100.0, 100.0, 100.0, 250.0];

/// Lower edge of each layer, cm.
const LAYER_BOTTOM_CM: [u16; N_LAYERS] = [5, 15, 25, 35, 60];

/// Where water that enters the surface goes first: a point source and the pores around roots carry part of it past
/// the top layer within minutes. Model choice; the shares add up to one.
const INTAKE_SHARE: [f64; N_LAYERS] = [0.36, 0.40, 0.16, 0.08, 0.0];

/// Longest step of the explicit scheme, s; the fluxes at saturation stay stable up to several times this.
const SUBSTEP_S_MAX: f64 = 60.0;

/// What kind of soil it is; water contents are m³ of water in m³ of soil.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoilKind {
    /// Texture name as in FAO-56 table 19.
    pub texture: &'static str,
    /// Water content two days after a soaking rain.
    pub field_capacity: f64,
    /// Water content at which plants do not recover.
    pub wilting_point: f64,
    /// Water content with all pores full.
    pub saturation: f64,
    /// Conductivity with all pores full, mm/h.
    pub conductivity_mm_h: f64,
}

impl SoilKind {
    /// Sandy loam: field capacity and wilting point inside FAO-56 table 19 (0.18–0.28, 0.06–0.16).
    ///
    /// Saturations of all three kinds follow Carsel & Parrish (1988), rounded; conductivities are theirs or higher,
    /// since orchard soil with roots and worm holes takes water faster than a packed sample.
    pub const SANDY_LOAM: Self = Self {
        texture: "sandy_loam",
        field_capacity: 0.24,
        wilting_point: 0.11,
        saturation: 0.41,
        conductivity_mm_h: 50.0,
    };
    /// Loam: field capacity and wilting point inside FAO-56 table 19 (0.20–0.30, 0.07–0.17).
    pub const LOAM: Self = Self {
        texture: "loam",
        field_capacity: 0.28,
        wilting_point: 0.13,
        saturation: 0.43,
        conductivity_mm_h: 35.0,
    };
    /// Silty clay loam: field capacity and wilting point inside FAO-56 table 19 (0.30–0.37, 0.17–0.24).
    pub const SILTY_CLAY_LOAM: Self = Self {
        texture: "silt_clay_loam",
        field_capacity: 0.34,
        wilting_point: 0.19,
        saturation: 0.46,
        conductivity_mm_h: 25.0,
    };

    /// Water content left when `depleted` (0 to 1) of the water between field capacity and wilting point is gone.
    #[must_use]
    pub fn at_depletion(&self, depleted: f64) -> f64 {
        self.field_capacity - depleted * (self.field_capacity - self.wilting_point)
    }

    /// Share of the pores above wilting point that hold water, 0 to 1.
    fn filling(&self, theta: f64) -> f64 {
        ((theta - self.wilting_point) / (self.saturation - self.wilting_point)).clamp(0.0, 1.0)
    }

    /// Gravity flow at a filling, mm/h: the tenth power lets a soil at field capacity lose about 1 mm a day.
    fn gravity_mm_h(&self, filling: f64) -> f64 {
        let square = filling * filling;
        let fourth = square * square;
        self.conductivity_mm_h * fourth * fourth * square
    }

    /// How fast suction evens out two layers, mm²/h: a few hundred at field capacity, thousands when wet.
    fn suction_mm2_h(filling: f64) -> f64 {
        let square = filling * filling;
        6_000.0 * square * square
    }
}

/// Where water went in a step, mm on the wetted area; `rain + drip − evapotranspiration − drainage − runoff` is the
/// change of storage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WaterFlux {
    /// Rain on the surface.
    pub rain_mm: f64,
    /// Drip on the surface.
    pub drip_mm: f64,
    /// Water taken by roots and sun.
    pub evapotranspiration_mm: f64,
    /// Water lost below the lowest layer.
    pub drainage_mm: f64,
    /// Water that found no room.
    pub runoff_mm: f64,
}

impl WaterFlux {
    /// Water that came in and stayed, mm; negative when more left than came.
    #[must_use]
    pub fn net_mm(&self) -> f64 {
        self.rain_mm + self.drip_mm - self.evapotranspiration_mm - self.drainage_mm - self.runoff_mm
    }

    fn add(&mut self, other: &Self) {
        self.rain_mm += other.rain_mm;
        self.drip_mm += other.drip_mm;
        self.evapotranspiration_mm += other.evapotranspiration_mm;
        self.drainage_mm += other.drainage_mm;
        self.runoff_mm += other.runoff_mm;
    }
}

/// The soil column of one zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Soil {
    kind: SoilKind,
    root_share: [f64; N_LAYERS],
    theta: [f64; N_LAYERS],
}

impl Soil {
    /// A column with the same water content in every layer, held between wilting point and saturation.
    ///
    /// `root_share` says which part of the evapotranspiration each layer gives; it should add up to one.
    #[must_use]
    pub fn new(kind: SoilKind, root_share: [f64; N_LAYERS], theta: f64) -> Self {
        let theta = theta.clamp(kind.wilting_point, kind.saturation);
        Self { kind, root_share, theta: [theta; N_LAYERS] }
    }

    /// The kind of soil.
    #[must_use]
    pub fn kind(&self) -> &SoilKind {
        &self.kind
    }

    /// Water content of each layer from the top, m³/m³.
    #[must_use]
    pub fn layers(&self) -> &[f64; N_LAYERS] {
        &self.theta
    }

    /// Water content around a depth, m³/m³; below the column the lowest layer answers.
    #[must_use]
    pub fn at_depth(&self, depth_cm: u16) -> f64 {
        let [.., lowest] = self.theta;
        let mut layers = LAYER_BOTTOM_CM.into_iter().zip(self.theta);
        layers.find(|(bottom_cm, _)| depth_cm < *bottom_cm).map_or(lowest, |(_, theta)| theta)
    }

    /// All water in the column, mm.
    #[must_use]
    pub fn storage_mm(&self) -> f64 {
        self.theta.iter().zip(LAYER_MM).map(|(theta, thickness_mm)| theta * thickness_mm).sum()
    }

    /// Lets `dt_s` seconds pass under steady rain, reference evapotranspiration, crop coefficient and drip.
    ///
    /// `drip_mm_h` counts on the wetted area. Negative rates and spans, and spans without end, count as zero. Steps
    /// longer than a minute are cut into shorter ones.
    pub fn step(&mut self, dt_s: f64, rain_mm_h: f64, et0_mm_h: f64, kc: f64, drip_mm_h: f64) -> WaterFlux {
        let mut total = WaterFlux::default();
        let mut left_s = if dt_s.is_finite() { dt_s } else { 0.0 };
        while left_s > 0.0 {
            let span_s = left_s.min(SUBSTEP_S_MAX);
            left_s -= span_s;
            let hours = span_s / 3_600.0;
            let demand_mm = et0_mm_h.max(0.0) * kc.max(0.0) * hours;
            let flux = self.substep(hours, rain_mm_h.max(0.0) * hours, drip_mm_h.max(0.0) * hours, demand_mm);
            total.add(&flux);
        }
        total
    }

    fn substep(&mut self, hours: f64, rain_mm: f64, drip_mm: f64, demand_mm: f64) -> WaterFlux {
        let runoff_mm = self.take_in(rain_mm + drip_mm);
        let evapotranspiration_mm = self.draw(demand_mm);
        let drainage_mm = self.sink(hours);
        WaterFlux { rain_mm, drip_mm, evapotranspiration_mm, drainage_mm, runoff_mm }
    }

    /// Puts water into the column and returns what found no room, mm.
    fn take_in(&mut self, water_mm: f64) -> f64 {
        let saturation = self.kind.saturation;
        let mut left_mm = water_mm;
        let mut fill = |theta: &mut f64, thickness_mm: f64, want_mm: f64| {
            let taken_mm = want_mm.min((saturation - *theta) * thickness_mm).max(0.0);
            *theta += taken_mm / thickness_mm;
            left_mm -= taken_mm;
            left_mm.max(0.0)
        };
        let mut rest_mm = water_mm;
        for ((theta, thickness_mm), share) in self.theta.iter_mut().zip(LAYER_MM).zip(INTAKE_SHARE) {
            rest_mm = fill(theta, thickness_mm, water_mm * share);
        }
        for (theta, thickness_mm) in self.theta.iter_mut().zip(LAYER_MM) {
            rest_mm = fill(theta, thickness_mm, rest_mm);
        }
        rest_mm
    }

    /// Lets roots and sun take up to `demand_mm`; returns what they got, mm.
    fn draw(&mut self, demand_mm: f64) -> f64 {
        let kind = self.kind;
        let mut drawn_mm = 0.0;
        let mut floor = 0.5 * kind.wilting_point; // the sun dries the top layer past wilting point (FAO-56 eq. 73)
        for ((theta, thickness_mm), share) in self.theta.iter_mut().zip(LAYER_MM).zip(self.root_share) {
            // FAO-56 eq. 84 for each layer, with half of the water readily available.
            let available = (*theta - floor) / (kind.field_capacity - floor);
            let stress = (available / 0.5).clamp(0.0, 1.0);
            let taken_mm = (demand_mm * share * stress).min((*theta - floor) * thickness_mm).max(0.0);
            *theta -= taken_mm / thickness_mm;
            drawn_mm += taken_mm;
            floor = kind.wilting_point;
        }
        drawn_mm
    }

    /// Moves water between layers and out below; returns what left, mm.
    fn sink(&mut self, hours: f64) -> f64 {
        let kind = self.kind;
        let mut carried_mm = 0.0; // on its way into the layer at hand; negative when it gives upwards
        let lower = self.theta.iter().copied().zip(LAYER_MM).skip(1).map(Some).chain([None]);
        let lower: [Option<(f64, f64)>; N_LAYERS] = {
            let mut edges = [None; N_LAYERS];
            edges.iter_mut().zip(lower).for_each(|(edge, below)| *edge = below);
            edges
        };
        for ((theta, thickness_mm), below) in self.theta.iter_mut().zip(LAYER_MM).zip(lower) {
            *theta += carried_mm / thickness_mm;
            let filling = kind.filling(*theta);
            let mut flow_mm = kind.gravity_mm_h(filling) * hours;
            if let Some((theta_below, below_mm)) = below {
                let filling_between = 0.5 * (filling + kind.filling(theta_below));
                let distance_mm = 0.5 * (thickness_mm + below_mm);
                flow_mm +=
                    SoilKind::suction_mm2_h(filling_between) * (*theta - theta_below) / distance_mm * hours;
                // Down: no more than the lower layer has room for. Up: no more than this one has room for or the
                // lower one holds above wilting point.
                let up_mm_max = ((kind.saturation - *theta) * thickness_mm)
                    .min((theta_below - kind.wilting_point) * below_mm);
                flow_mm =
                    flow_mm.clamp(-up_mm_max.max(0.0), ((kind.saturation - theta_below) * below_mm).max(0.0));
            }
            flow_mm = flow_mm.min(((*theta - kind.wilting_point) * thickness_mm).max(0.0));
            *theta -= flow_mm / thickness_mm;
            carried_mm = flow_mm;
        }
        carried_mm
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, prop_oneof, proptest};
    use proptest::{prop_assert, strategy::Just};

    use super::*;

    const ROOTS: [f64; N_LAYERS] = [0.12, 0.30, 0.25, 0.18, 0.15];

    fn kinds() -> impl Strategy<Value = SoilKind> {
        prop_oneof![Just(SoilKind::SANDY_LOAM), Just(SoilKind::LOAM), Just(SoilKind::SILTY_CLAY_LOAM)]
    }

    proptest! {
        #[test]
        fn water_is_neither_made_nor_lost(
            kind in kinds(),
            theta in 0.05..0.5_f64,
            steps in prop::collection::vec((0.1..3_600.0_f64, 0.0..120.0_f64, 0.0..1.5_f64, 0.0..3.0_f64, 0.0..40.0_f64), 1..24),
        ) {
            let mut soil = Soil::new(kind, ROOTS, theta);
            for (dt_s, rain_mm_h, et0_mm_h, kc, drip_mm_h) in steps {
                let before_mm = soil.storage_mm();
                let flux = soil.step(dt_s, rain_mm_h, et0_mm_h, kc, drip_mm_h);
                let change_mm = soil.storage_mm() - before_mm;
                prop_assert!((flux.net_mm() - change_mm).abs() < 1e-9, "{flux:?}, change {change_mm}");
                prop_assert!((flux.rain_mm - rain_mm_h * dt_s / 3_600.0).abs() < 1e-9);
                prop_assert!((flux.drip_mm - drip_mm_h * dt_s / 3_600.0).abs() < 1e-9);
                prop_assert!(flux.evapotranspiration_mm >= 0.0 && flux.drainage_mm >= 0.0 && flux.runoff_mm >= 0.0);
                prop_assert!(flux.evapotranspiration_mm <= et0_mm_h * kc * dt_s / 3_600.0 + 1e-9);
                for theta in soil.layers() {
                    prop_assert!(*theta >= 0.5 * kind.wilting_point - 1e-9, "{theta}");
                    prop_assert!(*theta <= kind.saturation + 1e-9, "{theta}");
                }
            }
        }

        #[test]
        fn more_drip_never_means_drier_soil(kind in kinds(), theta in 0.1..0.4_f64, drip_mm_h in 1.0..30.0_f64) {
            let mut less = Soil::new(kind, ROOTS, theta);
            let mut more = less.clone();
            less.step(1_800.0, 0.0, 0.3, 1.0, drip_mm_h);
            more.step(1_800.0, 0.0, 0.3, 1.0, drip_mm_h * 1.2);
            prop_assert!(more.storage_mm() >= less.storage_mm() - 1e-9);
        }
    }

    #[test]
    fn shares_are_whole() {
        assert!((INTAKE_SHARE.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((ROOTS.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn field_capacity_is_what_is_left_two_days_after_soaking() {
        for kind in [SoilKind::SANDY_LOAM, SoilKind::LOAM, SoilKind::SILTY_CLAY_LOAM] {
            let mut soil = Soil::new(kind, ROOTS, kind.saturation);
            soil.step(2.0 * 86_400.0, 0.0, 0.0, 0.0, 0.0);
            let mean = soil.storage_mm() / LAYER_MM.iter().sum::<f64>();
            assert!((mean - kind.field_capacity).abs() < 0.05, "{}: {mean}", kind.texture);
            let flux = soil.step(86_400.0, 0.0, 0.0, 0.0, 0.0);
            assert!(flux.drainage_mm < 8.0, "{}: {} mm on the third day", kind.texture, flux.drainage_mm);
        }
    }

    #[test]
    fn depth_picks_the_layer() {
        let mut soil = Soil::new(SoilKind::LOAM, ROOTS, 0.2);
        soil.step(600.0, 0.0, 0.0, 0.0, 12.0);
        let layers = *soil.layers();
        for (depth_cm, layer) in [(0, 0), (4, 0), (10, 1), (20, 2), (30, 3), (40, 4), (200, 4)] {
            assert_eq!(soil.at_depth(depth_cm).to_bits(), layers[layer].to_bits(), "{depth_cm} cm");
        }
        assert!(layers[1] > layers[3], "the shallow layer gets the water first");
    }

    #[test]
    fn odd_arguments_change_nothing() {
        let mut soil = Soil::new(SoilKind::LOAM, ROOTS, 0.2);
        let before = soil.clone();
        assert_eq!(soil.step(-5.0, 1.0, 1.0, 1.0, 1.0), WaterFlux::default());
        assert_eq!(soil.step(f64::NAN, 1.0, 1.0, 1.0, 1.0), WaterFlux::default());
        assert_eq!(soil.step(f64::INFINITY, 1.0, 1.0, 1.0, 1.0), WaterFlux::default());
        assert_eq!(soil, before);
    }

    #[test]
    fn a_flood_runs_off() {
        let mut soil = Soil::new(SoilKind::SILTY_CLAY_LOAM, ROOTS, 0.46);
        let flux = soil.step(3_600.0, 100.0, 0.0, 0.0, 0.0);
        assert!(flux.runoff_mm > 40.0, "{flux:?}");
    }
}
