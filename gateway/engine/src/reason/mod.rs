//! Why: every start, stop, skip, refusal and fault carries one of these reasons with its numbers.
//!
//! A reason has a stable code (the key of the page's catalogue) and named arguments; [`Reason::from_parts`] builds it again
//! from what a store kept. It holds no words for people: those are the catalogue's. A code is never given a second meaning.

mod field;
mod same;

use giot_shared::ids::{CommandId, NodeId};
use giot_shared::units::{LitresPerHour, MoisturePermyriad};
use giot_shared::valve::{CloseReason, RefusalReason};

use crate::ids::{MetricName, ProgramId, RuleId, SourceId, ZoneId};
use crate::plan::{Depletion, Level};
use crate::program::Millimetres;

use field::Field;

/// One named argument of a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Stable name, unique within its reason.
    pub name: &'static str,
    /// The value with its kind.
    pub value: ArgValue,
}

/// A value of an argument; the kind says how it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgValue {
    /// A count, a number of a command, or a minute of the day where the name ends in `_min`.
    Int(i64),
    /// Moisture in 1/10 000 of the soil's volume, or another share in 1/10 000 of its whole.
    Permyriad(u16),
    /// Hundredths of the unit that the name ends in.
    Hundredths(u32),
    /// A span in seconds.
    Seconds(u64),
    /// A name, or the code of a valve word.
    Text(String),
}

/// Declares the reasons: variant, code, fields; and both directions of their arguments.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        /// Why something was done, left undone, or went wrong.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])* $variant { $($(#[$fdoc])* $field: $type),* },)* }

        impl Reason {
            /// Every code, in the order of declaration.
            pub const ALL_CODES: &'static [&'static str] = &[$($code),*];

            /// The stable code: snake_case, the key of the catalogue.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code,)* }
            }

            /// The numbers and names of this reason.
            #[must_use]
            pub fn args(&self) -> Vec<Arg> {
                match self {
                    $(Self::$variant { $($field),* } => {
                        vec![$(Arg { name: stringify!($field), value: $field.to_value() }),*]
                    })*
                }
            }

            /// The names of the arguments of a code, `None` for an unknown code.
            #[must_use]
            pub fn arg_names(code: &str) -> Option<&'static [&'static str]> {
                match code { $($code => Some(&[$(stringify!($field)),*]),)* _ => None }
            }

            /// The reason that [`Self::code`] and [`Self::args`] describe; `None` for an unknown code, or when an argument
            /// is missing or of another kind. `arg` gives the value of a name.
            #[must_use]
            pub fn from_parts(code: &str, arg: impl Fn(&str) -> Option<ArgValue>) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant {
                        $($field: <$type as Field>::from_value(&arg(stringify!($field))?)?),*
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

impl Reason {
    /// Whether it says that the soil is dry enough to start, in whichever unit.
    #[must_use]
    pub const fn is_dryness(&self) -> bool {
        matches!(self, Self::SoilDry { .. } | Self::SoilDepleted { .. } | Self::SoilTense { .. })
    }
}

reasons! {
    /// The soil is drier than the start threshold.
    SoilDry = "soil_dry" {
        /// Median of the zone's probes.
        moisture: MoisturePermyriad,
        /// Start threshold.
        start_below: MoisturePermyriad,
    }
    /// The soil is not dry enough to start.
    SoilMoist = "soil_moist" {
        /// Median of the zone's probes.
        moisture: MoisturePermyriad,
        /// Start threshold.
        start_below: MoisturePermyriad,
    }
    /// The soil is wetter than the stop threshold.
    SoilWet = "soil_wet" {
        /// Median of the zone's probes.
        moisture: MoisturePermyriad,
        /// Stop threshold.
        stop_above: MoisturePermyriad,
    }
    /// More of the soil's available water is used up than the start threshold allows.
    SoilDepleted = "soil_depleted" {
        /// Used up of the available water.
        depleted: Depletion,
        /// Start threshold.
        start_depleted: Depletion,
        /// Moisture of the zone's probes.
        moisture: MoisturePermyriad,
    }
    /// Not enough of the soil's available water is used up to start.
    SoilNotDepleted = "soil_not_depleted" {
        /// Used up of the available water.
        depleted: Depletion,
        /// Start threshold.
        start_depleted: Depletion,
        /// Moisture of the zone's probes.
        moisture: MoisturePermyriad,
    }
    /// The soil's available water is filled up to the refill point.
    SoilRefilled = "soil_refilled" {
        /// Used up of the available water.
        depleted: Depletion,
        /// Refill point.
        stop_depleted: Depletion,
        /// Moisture of the zone's probes.
        moisture: MoisturePermyriad,
    }
    /// The soil holds its water with more tension than the start threshold.
    SoilTense = "soil_tense" {
        /// Tension at the zone's probes.
        tension_kpa: Level,
        /// Start threshold.
        start_above_kpa: Level,
    }
    /// The tension of the soil's water is not high enough to start.
    SoilNotTense = "soil_not_tense" {
        /// Tension at the zone's probes.
        tension_kpa: Level,
        /// Start threshold.
        start_above_kpa: Level,
    }
    /// The tension of the soil's water is below the stop threshold.
    SoilRelaxed = "soil_relaxed" {
        /// Tension at the zone's probes.
        tension_kpa: Level,
        /// Stop threshold.
        stop_below_kpa: Level,
    }
    /// The run has had its time.
    RunTimeReached = "run_time_reached" {
        /// The run that was asked for.
        run_s: u64,
    }
    /// The run goes on, so its lease is given anew.
    LeaseRenewed = "lease_renewed" {
        /// The new lease.
        run_s: u64,
    }
    /// A person started the zone.
    ManualStart = "manual_start" {
        /// The run that was asked for.
        run_s: u64,
    }
    /// A program's start has come.
    ProgramStart = "program_start" {
        /// The program.
        program: ProgramId,
        /// All its runs together.
        run_s: u64,
    }
    /// A program wants this run.
    ProgramRun = "program_run" {
        /// The program.
        program: ProgramId,
        /// The run.
        run_s: u64,
        /// Which portion it is.
        cycle: u32,
        /// How many portions there are.
        n_cycles: u32,
    }
    /// A person stopped a program.
    ProgramStop = "program_stop" {
        /// The program.
        program: ProgramId,
    }
    /// There is no such program.
    UnknownProgram = "unknown_program" {
        /// What was asked for.
        program: ProgramId,
    }
    /// A person set how much of a program's amounts is given.
    ProgramAdjusted = "program_adjusted" {
        /// The program.
        program: ProgramId,
        /// Of the planned amounts, %.
        percent: u32,
    }
    /// A person switched a program on.
    ProgramEnabled = "program_enabled" {
        /// The program.
        program: ProgramId,
    }
    /// A rule waters the zone.
    RuleRun = "rule_run" {
        /// The rule.
        rule: RuleId,
        /// The run that it asked for.
        run_s: u64,
        /// What it saw: names and numbers with units.
        values: String,
    }
    /// A rule stops the zone.
    RuleStop = "rule_stop" {
        /// The rule.
        rule: RuleId,
        /// What it saw.
        values: String,
    }
    /// A rule locked the zone.
    RuleLock = "rule_lock" {
        /// The rule.
        rule: RuleId,
        /// What it saw.
        values: String,
    }
    /// A rule set how much of a program's amounts is given.
    RuleAdjusted = "rule_adjusted" {
        /// The rule.
        rule: RuleId,
        /// The program.
        program: ProgramId,
        /// Of the planned amounts, %.
        percent: u32,
        /// What the rule saw.
        values: String,
    }
    /// A rule tells people something.
    RuleNotice = "rule_notice" {
        /// The rule.
        rule: RuleId,
        /// What it was told to say.
        note: String,
        /// What it saw.
        values: String,
    }
    /// A rule has come true more often than it may in a day and rests until the next.
    RuleTired = "rule_tired" {
        /// The rule.
        rule: RuleId,
        /// How often it may in a day.
        times_max: u32,
    }
    /// A person takes back a pause.
    PauseEnded = "pause_ended" {}
    /// A person made the run longer.
    RunExtended = "run_extended" {
        /// What was asked for.
        by_s: u64,
        /// The run as it is to be.
        run_s: u64,
    }
    /// The run is as long as it may be.
    RunLongest = "run_longest" {
        /// The zone's longest run.
        run_s: u64,
    }
    /// The zone is not watering.
    NotRunning = "not_running" {}
    /// A person watered the zone otherwise.
    IrrigatedByHand = "irrigated_by_hand" {
        /// For how long.
        run_s: u64,
        /// How much, as that person says.
        litres: u32,
    }
    /// A person has valves tested, one after another.
    TestStarted = "test_started" {
        /// How many.
        n_zones: u32,
        /// All runs together.
        run_s: u64,
    }
    /// A person has zones watered once.
    OnceStarted = "once_started" {
        /// How many.
        n_zones: u32,
        /// All runs together.
        run_s: u64,
    }
    /// The valve is tested.
    ValveTest = "valve_test" {
        /// For how long.
        run_s: u64,
        /// Which of the valves.
        cycle: u32,
        /// How many there are.
        n_cycles: u32,
    }
    /// A person wants this run once.
    RunOnce = "run_once" {
        /// For how long.
        run_s: u64,
    }
    /// A source gave too much: its zones are tested one after another, to find which of them.
    DiagnosisStarted = "diagnosis_started" {
        /// The source.
        source: SourceId,
        /// How many zones.
        n_zones: u32,
    }
    /// The zones of the source are being tested after it gave too much.
    Diagnosing = "diagnosing" {
        /// The source.
        source: SourceId,
    }
    /// A program's run was interrupted; its rest is made up for.
    RunResumed = "run_resumed" {
        /// The program.
        program: ProgramId,
        /// The rest.
        run_s: u64,
    }
    /// A person stopped the zone.
    ManualStop = "manual_stop" {}
    /// A person stopped every zone.
    StopAll = "stop_all" {}
    /// A person runs the valve at the node itself.
    LocalRun = "local_run" {}
    /// The zone is watered by hand only.
    NotAutomatic = "not_automatic" {}
    /// The zone's settings contradict themselves; nothing starts until they are mended.
    InvalidPlan = "invalid_plan" {
        /// Code of the first problem.
        problem: String,
    }
    /// There is no such zone.
    UnknownZone = "unknown_zone" {
        /// What was asked for.
        zone: ZoneId,
    }
    /// The zone is watering already.
    AlreadyRunning = "already_running" {}
    /// The zone's valve is still on its way to closed.
    ValveClosing = "valve_closing" {}
    /// The zone's valve has not been heard of since the gateway started.
    ValveUnknown = "valve_unknown" {}
    /// The last reading of a probe is too old.
    StaleReading = "stale_reading" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
        /// Age of the last reading.
        age_s: u64,
        /// Oldest age that counts as fresh.
        fresh_s: u64,
    }
    /// A probe has not been heard of.
    NoReading = "no_reading" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
    }
    /// A probe reports that it is faulty.
    FaultyReading = "faulty_reading" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
    }
    /// A reading is dated in the future: a clock is wrong.
    ReadingAhead = "reading_ahead" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
        /// How far ahead.
        ahead_s: u64,
    }
    /// Nobody knows how old a reading is, so it counts as old.
    AgeUnknown = "age_unknown" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
    }
    /// A reading lies outside what this soil can hold.
    ImplausibleReading = "implausible_reading" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
        /// The reading.
        moisture: MoisturePermyriad,
        /// Lowest plausible value.
        min: MoisturePermyriad,
        /// Highest plausible value.
        max: MoisturePermyriad,
    }
    /// A reading changed faster than soil does while nothing waters.
    ProbeJump = "probe_jump" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
        /// Before the jump.
        from: MoisturePermyriad,
        /// After it.
        to: MoisturePermyriad,
        /// Largest plausible change in five minutes.
        rate_max: MoisturePermyriad,
    }
    /// A tension lies outside what this probe or soil can have.
    ImplausibleTension = "implausible_tension" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
        /// The reading.
        tension_kpa: Level,
        /// Lowest plausible value.
        least_kpa: Level,
        /// Highest plausible value.
        most_kpa: Level,
    }
    /// A tension changed faster than soil does while nothing waters.
    TensionJump = "tension_jump" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
        /// Before the jump.
        from_kpa: Level,
        /// After it.
        to_kpa: Level,
        /// Largest plausible change in five minutes.
        rate_max_kpa: Level,
    }
    /// A probe gives the same value for too long.
    ProbeStuck = "probe_stuck" {
        /// The device that the probe hangs on.
        device: NodeId,
        /// The probe's metric.
        metric: MetricName,
        /// How long the value has been the same.
        same_s: u64,
        /// How long it may be.
        stuck_s: u64,
    }
    /// It is not the time of day for watering.
    OutsideWindow = "outside_window" {
        /// Start of the window, minute of the local day.
        from_min: u32,
        /// End of the window, minute of the local day.
        to_min: u32,
    }
    /// A bylaw or a person allows no water at this time of day.
    NoWaterWindow = "no_water_window" {
        /// Start of the window, minute of the local day.
        from_min: u32,
        /// End of the window, minute of the local day.
        to_min: u32,
    }
    /// The run ends with the allowed hours.
    RunCut = "run_cut" {
        /// The run that was wanted.
        wanted_s: u64,
        /// What is left of it.
        run_s: u64,
    }
    /// The run waits for the allowed hours.
    RunMoved = "run_moved" {
        /// How much later it begins.
        late_s: u64,
    }
    /// No allowed hours within a day are long enough for the run.
    WindowTooShort = "window_too_short" {
        /// The run that was wanted.
        wanted_s: u64,
    }
    /// The zone's limits make the run longer or shorter.
    RunLimited = "run_limited" {
        /// The run that was wanted.
        wanted_s: u64,
        /// The run that the zone may have.
        run_s: u64,
    }
    /// The run is too short to be worth opening the valve.
    BelowThreshold = "below_threshold" {
        /// The run that was wanted.
        wanted_s: u64,
        /// The shortest that is worth it.
        least_s: u64,
    }
    /// The soil lacks water, and a program gives it back.
    Refill = "refill" {
        /// Missing to field capacity.
        lack_mm: Millimetres,
        /// What the root zone holds for plants.
        available_mm: Millimetres,
        /// What is given for it, losses included.
        gross_mm: Millimetres,
    }
    /// The soil does not lack enough for a refill.
    EnoughWater = "enough_water" {
        /// Missing to field capacity.
        lack_mm: Millimetres,
        /// From here on it is refilled.
        start_mm: Millimetres,
        /// What the root zone holds for plants.
        available_mm: Millimetres,
    }
    /// The last count of what the soil lacks is too old.
    BalanceStale = "balance_stale" {
        /// Its age.
        age_s: u64,
        /// How long a count holds.
        fresh_s: u64,
    }
    /// What the soil lacks cannot be counted.
    BalanceUnknown = "balance_unknown" {
        /// Code of the cause.
        cause: String,
    }
    /// What the soil will lack on a later day is not known yet.
    BalanceAhead = "balance_ahead" {}
    /// The weather of some days is missing, so that their evapotranspiration was guessed.
    WeatherGuessed = "weather_guessed" {
        /// How many.
        n_days: u32,
    }
    /// Season and adjustment leave nothing of the run.
    AdjustedToNothing = "adjusted_to_nothing" {}
    /// The step of the program is switched off.
    StepDisabled = "step_disabled" {}
    /// The program is switched off.
    ProgramDisabled = "program_disabled" {}
    /// The program's last start is not over.
    ProgramBusy = "program_busy" {
        /// Rest of it.
        remaining_s: u64,
    }
    /// A person paused zone, program or farm.
    Suspended = "suspended" {
        /// Rest of the pause.
        remaining_s: u64,
    }
    /// It rained or will rain, so nothing starts for a while.
    RainDelay = "rain_delay" {
        /// Rest of the delay.
        remaining_s: u64,
    }
    /// A person skipped this start.
    SkippedByPerson = "skipped_by_person" {
        /// How many more are skipped.
        left: u32,
    }
    /// The start was missed and it is too late to make up for it, or a newer one took its place.
    MissedStart = "missed_start" {
        /// How late it is.
        late_s: u64,
        /// How late it may be.
        catch_up_s: u64,
    }
    /// The program cannot be over in time and waits for the next day.
    FinishTooNear = "finish_too_near" {
        /// What it needs.
        needed_s: u64,
        /// What is left.
        left_s: u64,
    }
    /// The gateway does not know the time.
    ClockUnset = "clock_unset" {}
    /// Another zone has the source, or may still have it.
    SourceBusy = "source_busy" {
        /// That zone.
        zone: ZoneId,
    }
    /// A source or pipe on the way carries no more.
    CapacityFull = "capacity_full" {
        /// That source.
        source: SourceId,
        /// What it gives already, L/h.
        in_use_l_per_h: LitresPerHour,
        /// What the zone would take, L/h.
        wanted_l_per_h: LitresPerHour,
        /// What it carries, L/h.
        capacity_l_per_h: LitresPerHour,
    }
    /// The water is kept free for a zone that has waited too long.
    CapacityKept = "capacity_kept" {
        /// That zone.
        zone: ZoneId,
    }
    /// There is no such source, or it has no pump that is switched from here.
    UnknownSource = "unknown_source" {
        /// What was asked for.
        source: SourceId,
    }
    /// Another zone of the source has just been started.
    Staggered = "staggered" {
        /// The source.
        source: SourceId,
        /// Rest of the time between two starts.
        remaining_s: u64,
    }
    /// A zone draws water, so its pump or master valve is switched on.
    PumpStart = "pump_start" {
        /// The source.
        source: SourceId,
    }
    /// No zone draws water any more, so its pump or master valve is switched off.
    PumpNotNeeded = "pump_not_needed" {
        /// The source.
        source: SourceId,
    }
    /// No valve is open for certain, so the pump is switched off.
    PumpUncovered = "pump_uncovered" {
        /// The source.
        source: SourceId,
    }
    /// The pump is being switched off; the zone waits until it is.
    PumpStopping = "pump_stopping" {
        /// The source.
        source: SourceId,
    }
    /// The pump rests between two starts.
    PumpResting = "pump_resting" {
        /// The source.
        source: SourceId,
        /// Rest of the pause.
        remaining_s: u64,
    }
    /// The pump has had its starts of this hour.
    PumpStartsUsed = "pump_starts_used" {
        /// The source.
        source: SourceId,
        /// How many it may have.
        starts: u32,
        /// Until it may start again.
        remaining_s: u64,
    }
    /// The master valve opens before the zone's valve.
    PumpLead = "pump_lead" {
        /// The source.
        source: SourceId,
        /// Until the zone's valve follows.
        remaining_s: u64,
    }
    /// Someone switched the pump on at its node; it is switched off, because no valve is known to be open for it.
    PumpStartedLocally = "pump_started_locally" {
        /// The source.
        source: SourceId,
    }
    /// A fault of the source waits for a person to clear it.
    SourceFault = "source_fault" {
        /// The source.
        source: SourceId,
        /// Code of the fault's reason.
        fault: String,
    }
    /// The source rests after a failure of its pump.
    SourcePaused = "source_paused" {
        /// The source.
        source: SourceId,
        /// Failures in a row.
        failures: u32,
        /// Rest of the pause.
        remaining_s: u64,
    }
    /// A person cleared the fault of a source.
    SourceCleared = "source_cleared" {
        /// The source.
        source: SourceId,
    }
    /// Water flows as it should: the valve is open indeed.
    FlowConfirmed = "flow_confirmed" {
        /// The flow.
        flow_l_per_h: LitresPerHour,
    }
    /// More water flows than should: a line has burst or come off.
    HighFlow = "high_flow" {
        /// The flow.
        flow_l_per_h: LitresPerHour,
        /// What the last good runs had.
        expected_l_per_h: LitresPerHour,
    }
    /// Less water flows than should: a filter or lines are clogged.
    LowFlow = "low_flow" {
        /// The flow.
        flow_l_per_h: LitresPerHour,
        /// What the last good runs had.
        expected_l_per_h: LitresPerHour,
    }
    /// The valve is open and next to nothing flows: valve, pump or a gate by hand.
    NoFlow = "no_flow" {
        /// The flow.
        flow_l_per_h: LitresPerHour,
        /// What the last good runs had; 0: not known.
        expected_l_per_h: LitresPerHour,
    }
    /// Water flows although the valve was closed; it is closed once more.
    LeakAfterClose = "leak_after_close" {
        /// The flow.
        flow_l_per_h: LitresPerHour,
        /// Which time.
        attempts: u32,
    }
    /// Water flows although the valve was closed several times.
    ValveStuckOpen = "valve_stuck_open" {
        /// The flow.
        flow_l_per_h: LitresPerHour,
    }
    /// The run has taken all that it may.
    VolumeReached = "volume_reached" {
        /// That much.
        volume_l: u32,
    }
    /// A source gives more than its zones should take.
    SourceHighFlow = "source_high_flow" {
        /// The source.
        source: SourceId,
        /// The flow.
        flow_l_per_h: LitresPerHour,
        /// What its open zones should take.
        expected_l_per_h: LitresPerHour,
    }
    /// A source gives less than its zones should take.
    SourceLowFlow = "source_low_flow" {
        /// The source.
        source: SourceId,
        /// The flow.
        flow_l_per_h: LitresPerHour,
        /// What its open zones should take.
        expected_l_per_h: LitresPerHour,
    }
    /// A source gives next to nothing although valves are open.
    SourceNoFlow = "source_no_flow" {
        /// The source.
        source: SourceId,
        /// The flow.
        flow_l_per_h: LitresPerHour,
        /// What its open zones should take; 0: not known.
        expected_l_per_h: LitresPerHour,
    }
    /// A source gives water although all valves are closed.
    UnscheduledFlow = "unscheduled_flow" {
        /// The source.
        source: SourceId,
        /// The flow.
        flow_l_per_h: LitresPerHour,
    }
    /// The tank or well is too low.
    TankLow = "tank_low" {
        /// The source.
        source: SourceId,
        /// Its level, in the unit of its gauge.
        level: u32,
        /// The level from which it gives again.
        resume: u32,
    }
    /// Nothing is known of the tank's level, or for too long.
    TankUnknown = "tank_unknown" {
        /// The source.
        source: SourceId,
    }
    /// The pressure is too low while water flows.
    PressureLow = "pressure_low" {
        /// The source.
        source: SourceId,
        /// The pressure.
        pressure_kpa: u32,
        /// The lowest that is right.
        min_kpa: u32,
    }
    /// The pressure is too high while water flows.
    PressureHigh = "pressure_high" {
        /// The source.
        source: SourceId,
        /// The pressure.
        pressure_kpa: u32,
        /// The highest that is right.
        max_kpa: u32,
    }
    /// It rained enough.
    Rained = "rained" {
        /// So much.
        rain_mm: u32,
        /// So much is enough.
        limit_mm: u32,
        /// Within so many hours.
        hours: u32,
    }
    /// The rain contact says that it rains, or has just rained.
    RainContact = "rain_contact" {}
    /// It is so cold that drops freeze.
    Frost = "frost" {
        /// The temperature.
        temperature_c: i32,
        /// Water flows again from here.
        clear_c: i32,
    }
    /// The minimum time between two runs is not over.
    MinimumOff = "minimum_off" {
        /// Rest of it.
        remaining_s: u64,
    }
    /// A person stopped the zone, so automatic watering rests for a while.
    RestAfterStop = "rest_after_stop" {
        /// Who stopped it.
        by: String,
        /// Rest of the pause.
        remaining_s: u64,
    }
    /// A person locked the zone.
    Locked = "locked" {
        /// Who locked it.
        by: String,
        /// Why, in that person's words.
        note: String,
    }
    /// A person took the lock away.
    Unlocked = "unlocked" {}
    /// A person cleared the fault.
    FaultCleared = "fault_cleared" {}
    /// The node of the valve has no connection.
    NodeOffline = "node_offline" {
        /// That node.
        node: NodeId,
    }
    /// The node did not answer.
    CommandUnanswered = "command_unanswered" {
        /// Time since the first of the commands.
        waited_s: u64,
        /// How many were sent.
        attempts: u32,
    }
    /// The node refused a command.
    CommandRefused = "command_refused" {
        /// The node's reason.
        refusal: RefusalReason,
    }
    /// The zone rests after a failure.
    Quarantined = "quarantined" {
        /// Failures in a row.
        failures: u32,
        /// Rest of the pause.
        remaining_s: u64,
    }
    /// A fault waits for a person to clear it.
    UnresolvedFault = "unresolved_fault" {
        /// Code of the fault's reason.
        fault: String,
    }
    /// The node accepted the command, but its valve did not report that it opened.
    ValveNotConfirmed = "valve_not_confirmed" {
        /// Time since the command was accepted.
        waited_s: u64,
    }
    /// The node closed the valve by itself.
    ClosedByNode = "closed_by_node" {
        /// The node's reason.
        close: CloseReason,
    }
    /// The node reported the valve closed without saying why.
    ValveFoundClosed = "valve_found_closed" {}
    /// A valve was open that nobody here had opened.
    UnexpectedOpen = "unexpected_open" {
        /// The command that the node named.
        command: CommandId,
    }
    /// Nothing was heard of the valve until its last possible lease was over.
    ValveSilent = "valve_silent" {
        /// How long.
        waited_s: u64,
    }
    /// The gateway stops and closes what it opened; nobody would watch it.
    GatewayStopping = "gateway_stopping" {}
    /// The gateway started anew and closes what it cannot account for.
    GatewayRestarted = "gateway_restarted" {}
}

#[cfg(test)]
mod tests;
