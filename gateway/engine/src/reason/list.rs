//! Every reason with its code and its numbers. Codes and names are for ever: the store, the API and both catalogues have them.

use giot_shared::ids::{CommandId, NodeId};
use giot_shared::time::UnixMs;
use giot_shared::units::{LitresPerHour, MoisturePermyriad};
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::ResetCause;

use super::field::Field;
use super::{Arg, ArgValue, Thousandths};
use crate::ids::{MetricName, ProgramId, RuleId, SourceId, ZoneId};
use crate::plan::{Depletion, Level};
use crate::program::Millimetres;

reasons! {
    /// The soil is drier than the start threshold.
    SoilDry = "soil_dry" {
        moisture: MoisturePermyriad = "Median of the zone's probes.",
        start_below: MoisturePermyriad = "Start threshold.",
    }
    /// The soil is not dry enough to start.
    SoilMoist = "soil_moist" {
        moisture: MoisturePermyriad = "Median of the zone's probes.",
        start_below: MoisturePermyriad = "Start threshold.",
    }
    /// The soil is wetter than the stop threshold.
    SoilWet = "soil_wet" {
        moisture: MoisturePermyriad = "Median of the zone's probes.",
        stop_above: MoisturePermyriad = "Stop threshold.",
    }
    /// More of the soil's available water is used up than the start threshold allows.
    SoilDepleted = "soil_depleted" {
        depleted: Depletion = "Used up of the available water.",
        start_depleted: Depletion = "Start threshold.",
        moisture: MoisturePermyriad = "Moisture of the zone's probes.",
    }
    /// Not enough of the soil's available water is used up to start.
    SoilNotDepleted = "soil_not_depleted" {
        depleted: Depletion = "Used up of the available water.",
        start_depleted: Depletion = "Start threshold.",
        moisture: MoisturePermyriad = "Moisture of the zone's probes.",
    }
    /// The soil's available water is filled up to the refill point.
    SoilRefilled = "soil_refilled" {
        depleted: Depletion = "Used up of the available water.",
        stop_depleted: Depletion = "Refill point.",
        moisture: MoisturePermyriad = "Moisture of the zone's probes.",
    }
    /// The soil holds its water with more tension than the start threshold.
    SoilTense = "soil_tense" {
        tension_kpa: Level = "Tension at the zone's probes.",
        start_above_kpa: Level = "Start threshold.",
    }
    /// The tension of the soil's water is not high enough to start.
    SoilNotTense = "soil_not_tense" {
        tension_kpa: Level = "Tension at the zone's probes.",
        start_above_kpa: Level = "Start threshold.",
    }
    /// The tension of the soil's water is below the stop threshold.
    SoilRelaxed = "soil_relaxed" {
        tension_kpa: Level = "Tension at the zone's probes.",
        stop_below_kpa: Level = "Stop threshold.",
    }
    /// The run has had its time.
    RunTimeReached = "run_time_reached" { run_s: u64 = "The run that was asked for." }
    /// The run goes on, so its lease is given anew.
    LeaseRenewed = "lease_renewed" { run_s: u64 = "The new lease." }
    /// A person started the zone.
    ManualStart = "manual_start" { run_s: u64 = "The run that was asked for." }
    /// A program's start has come.
    ProgramStart = "program_start" {
        program: ProgramId = "The program.",
        run_s: u64 = "All its runs together.",
    }
    /// A program wants this run.
    ProgramRun = "program_run" {
        program: ProgramId = "The program.",
        run_s: u64 = "The run.",
        cycle: u32 = "Which portion it is.",
        n_cycles: u32 = "How many portions there are.",
    }
    /// A person stopped a program.
    ProgramStop = "program_stop" { program: ProgramId = "The program." }
    /// There is no such program.
    UnknownProgram = "unknown_program" { program: ProgramId = "What was asked for." }
    /// A person set how much of a program's amounts is given.
    ProgramAdjusted = "program_adjusted" {
        program: ProgramId = "The program.",
        percent: u32 = "Of the planned amounts, %.",
    }
    /// A person changed how much of a program's amounts is given.
    ProgramAdjustedFrom = "program_adjusted_from" {
        program: ProgramId = "The program.",
        percent: u32 = "Of the planned amounts, %.",
        was_percent: u32 = "The same before, %.",
    }
    /// A person changed the rest of a program's pause.
    ProgramPausedFrom = "program_paused_from" {
        program: ProgramId = "The program.",
        remaining_s: u64 = "Rest of the pause.",
        was_s: u64 = "What the pause before still had to go.",
    }
    /// A person ended the pause of a program early.
    ProgramResumedFrom = "program_resumed_from" {
        program: ProgramId = "The program.",
        was_s: u64 = "What the pause still had to go.",
    }
    /// A person changed how many of the next starts of a program are skipped.
    ProgramSkippingFrom = "program_skipping_from" {
        program: ProgramId = "The program.",
        left: u32 = "How many.",
        was_left: u32 = "How many before.",
    }
    /// A person's start of a program is refused; the entry after it says why.
    ProgramNotStarted = "program_not_started" { program: ProgramId = "The program." }
    /// A person switched a program on.
    ProgramEnabled = "program_enabled" { program: ProgramId = "The program." }
    /// A person switched a program off.
    ProgramSwitchedOff = "program_switched_off" { program: ProgramId = "The program." }
    /// A person paused a program.
    ProgramPaused = "program_paused" {
        program: ProgramId = "The program.",
        remaining_s: u64 = "Rest of the pause.",
    }
    /// A person ended the pause of a program.
    ProgramResumed = "program_resumed" { program: ProgramId = "The program." }
    /// A person has the next starts of a program skipped.
    ProgramSkipping = "program_skipping" {
        program: ProgramId = "The program.",
        left: u32 = "How many.",
    }
    /// A rule waters the zone.
    RuleRun = "rule_run" {
        rule: RuleId = "The rule.",
        run_s: u64 = "The run that it asked for.",
        values: String = "What it saw: names and numbers with units.",
    }
    /// A rule stops the zone.
    RuleStop = "rule_stop" {
        rule: RuleId = "The rule.",
        values: String = "What it saw.",
    }
    /// A rule locked the zone.
    RuleLock = "rule_lock" {
        rule: RuleId = "The rule.",
        values: String = "What it saw.",
    }
    /// A rule set how much of a program's amounts is given.
    RuleAdjusted = "rule_adjusted" {
        rule: RuleId = "The rule.",
        program: ProgramId = "The program.",
        percent: u32 = "Of the planned amounts, %.",
        values: String = "What the rule saw.",
    }
    /// A rule changes how much of a program's amounts is given.
    RuleAdjustedFrom = "rule_adjusted_from" {
        rule: RuleId = "The rule.",
        program: ProgramId = "The program.",
        percent: u32 = "Of the planned amounts, %.",
        was_percent: u32 = "The same before, %.",
        values: String = "What the rule saw.",
    }
    /// A rule tells people something.
    RuleNotice = "rule_notice" {
        rule: RuleId = "The rule.",
        note: String = "What it was told to say.",
        values: String = "What it saw.",
    }
    /// A rule has come true as often as it may within 24 hours, and rests until those are over.
    RuleTired = "rule_tired" {
        rule: RuleId = "The rule.",
        times_max: u32 = "How often it may within 24 hours.",
    }
    /// A person takes back the farm's pause.
    PauseEnded = "pause_ended" {}
    /// A person takes back the rain delay.
    RainDelayEnded = "rain_delay_ended" {}
    /// A person takes back the pause of all water.
    WaterPauseEnded = "water_pause_ended" {}
    /// A person takes back a zone's pause.
    ZonePauseEnded = "zone_pause_ended" {}
    /// A person made the run longer.
    RunExtended = "run_extended" {
        by_s: u64 = "How much longer: what was asked for, as far as the zone may run.",
        run_s: u64 = "The run as it is to be.",
    }
    /// The run is as long as it may be.
    RunLongest = "run_longest" { run_s: u64 = "The zone's longest run." }
    /// The zone is not watering.
    NotRunning = "not_running" {}
    /// A person watered the zone otherwise.
    IrrigatedByHand = "irrigated_by_hand" {
        run_s: u64 = "For how long.",
        litres: u32 = "How much, as that person says.",
    }
    /// A person has valves tested, one after another.
    TestStarted = "test_started" {
        n_zones: u32 = "How many.",
        run_s: u64 = "All runs together.",
    }
    /// A person has zones watered once.
    OnceStarted = "once_started" {
        n_zones: u32 = "How many.",
        run_s: u64 = "All runs together.",
    }
    /// The valve is tested.
    ValveTest = "valve_test" {
        run_s: u64 = "For how long.",
        cycle: u32 = "Which of the valves.",
        n_cycles: u32 = "How many there are.",
    }
    /// A person wants this run once.
    RunOnce = "run_once" { run_s: u64 = "For how long." }
    /// A source gave too much: its zones are tested one after another, to find which of them.
    DiagnosisStarted = "diagnosis_started" {
        source: SourceId = "The source.",
        n_zones: u32 = "How many zones.",
    }
    /// The zones of the source are being tested after it gave too much.
    Diagnosing = "diagnosing" { source: SourceId = "The source." }
    /// A program's run was interrupted; its rest is made up for.
    RunResumed = "run_resumed" {
        program: ProgramId = "The program.",
        run_s: u64 = "The rest.",
    }
    /// The node keeps the valve open no longer at a time; what is left of the run follows.
    RunSplit = "run_split" {
        run_s: u64 = "What is left.",
        most_s: u64 = "How long the node keeps the valve open at the most.",
    }
    /// A run below a pump that is as long as its zone's longest: the pump goes off before the valve, so that the rest follows.
    RunSplitByPlan = "run_split_by_plan" {
        run_s: u64 = "What is left.",
        most_s: u64 = "The zone's longest run.",
    }
    /// A run begins much later than it was planned for.
    StartedLate = "started_late" { late_s: u64 = "By how much." }
    /// A run that somebody asked for was interrupted, or had no water for a while: its rest follows.
    RunRest = "run_rest" { run_s: u64 = "The rest." }
    /// A run by volume ended before that much had flowed.
    VolumeShort = "volume_short" {
        wanted_l: u32 = "What was asked for.",
        had_l: u32 = "What flowed.",
        run_s: u64 = "How long the run was.",
    }
    /// A run of a program waited too long for its turn and is not given.
    WaitedTooLong = "waited_too_long" {
        late_s: u64 = "How long it waited.",
        run_s: u64 = "The run that is not given.",
    }
    /// A run of a program waited for its turn until the hours were over and is not given.
    WindowOver = "window_over" {
        late_s: u64 = "How long it waited.",
        run_s: u64 = "The run that is not given.",
    }
    /// A run begins later because other zones have the water before it.
    TurnAwaited = "turn_awaited" { late_s: u64 = "How much later." }
    /// The day has no room for all that a program wants of a zone: water, hours and turns do not suffice.
    CannotFitToday = "cannot_fit_today" {
        program: ProgramId = "The program.",
        short_s: u64 = "What is not given, as time.",
        short_l: u32 = "The same in litres at the zone's stated flow; 0 where none is stated.",
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
    InvalidPlan = "invalid_plan" { problem: String = "Code of the first problem." }
    /// There is no such zone.
    UnknownZone = "unknown_zone" { zone: ZoneId = "What was asked for." }
    /// The zone is watering already.
    AlreadyRunning = "already_running" {}
    /// The zone's valve is still on its way to closed.
    ValveClosing = "valve_closing" {}
    /// The zone's valve has not been heard of since the gateway started.
    ValveUnknown = "valve_unknown" {}
    /// The last reading of a probe is too old.
    StaleReading = "stale_reading" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
        age_s: u64 = "Age of the last reading.",
        fresh_s: u64 = "Oldest age that counts as fresh.",
    }
    /// A probe has not been heard of.
    NoReading = "no_reading" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
    }
    /// A probe reports that it is faulty.
    FaultyReading = "faulty_reading" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
    }
    /// A reading is dated in the future: a clock is wrong.
    ReadingAhead = "reading_ahead" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
        ahead_s: u64 = "How far ahead.",
    }
    /// Nobody knows how old a reading is, so it counts as old.
    AgeUnknown = "age_unknown" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
    }
    /// A reading lies outside what this soil can hold.
    ImplausibleReading = "implausible_reading" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
        moisture: MoisturePermyriad = "The reading.",
        min: MoisturePermyriad = "Lowest plausible value.",
        max: MoisturePermyriad = "Highest plausible value.",
    }
    /// A reading changed faster than soil does while nothing waters.
    ProbeJump = "probe_jump" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
        from: MoisturePermyriad = "Before the jump.",
        to: MoisturePermyriad = "After it.",
        rate_max: MoisturePermyriad = "Largest plausible change in five minutes.",
    }
    /// A tension lies outside what this probe or soil can have.
    ImplausibleTension = "implausible_tension" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
        tension_kpa: Level = "The reading.",
        least_kpa: Level = "Lowest plausible value.",
        most_kpa: Level = "Highest plausible value.",
    }
    /// A tension changed faster than soil does while nothing waters.
    TensionJump = "tension_jump" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
        from_kpa: Level = "Before the jump.",
        to_kpa: Level = "After it.",
        rate_max_kpa: Level = "Largest plausible change in five minutes.",
    }
    /// A probe gives the same value for too long.
    ProbeStuck = "probe_stuck" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
        same_s: u64 = "How long the value has been the same.",
        stuck_s: u64 = "How long it may be.",
    }
    /// A probe that says dry did not get wetter although its zone was watered again and again.
    NoResponse = "no_response" {
        device: NodeId = "The device that the probe hangs on.",
        metric: MetricName = "The probe's metric.",
        times: u64 = "So many times in a row.",
    }
    /// Two probes that should say the same contradict each other, and one says that the soil is dry.
    ProbesDisagree = "probes_disagree" {
        probe: String = "The drier one: device and metric.",
        moisture: MoisturePermyriad = "What it says.",
        other_probe: String = "The wetter one.",
        other_moisture: MoisturePermyriad = "What that says.",
        apart_max: MoisturePermyriad = "So far apart they may be.",
    }
    /// Two probes of tension that should say the same contradict each other, and one says that the soil is dry.
    TensionsDisagree = "tensions_disagree" {
        probe: String = "The wetter one: device and metric.",
        tension_kpa: Level = "What it says.",
        other_probe: String = "The drier one.",
        other_kpa: Level = "What that says.",
        apart_max_kpa: Level = "So far apart they may be.",
    }
    /// It is not the time of day for watering.
    OutsideWindow = "outside_window" {
        from_min: u32 = "Start of the window, minute of the local day.",
        to_min: u32 = "End of the window, minute of the local day.",
    }
    /// A bylaw or a person allows no water at this time of day.
    NoWaterWindow = "no_water_window" {
        from_min: u32 = "Start of the window, minute of the local day.",
        to_min: u32 = "End of the window, minute of the local day.",
    }
    /// The run ends with the allowed hours.
    RunCut = "run_cut" {
        wanted_s: u64 = "The run that was wanted.",
        run_s: u64 = "What is left of it.",
    }
    /// The run waits for the allowed hours.
    RunMoved = "run_moved" { late_s: u64 = "How much later it begins." }
    /// No allowed hours within a day are long enough for the run.
    WindowTooShort = "window_too_short" { wanted_s: u64 = "The run that was wanted." }
    /// The zone's limits make the run longer or shorter.
    RunLimited = "run_limited" {
        wanted_s: u64 = "The run that was wanted.",
        run_s: u64 = "The run that the zone may have.",
    }
    /// The run is made longer, because its pump or master valve, once on, runs for a least time.
    PumpLeastRun = "pump_least_run" {
        source: SourceId = "The source with the pump or master valve.",
        wanted_s: u64 = "The run that was wanted.",
        run_s: u64 = "The run that is given.",
    }
    /// The run is too short to be worth opening the valve.
    BelowThreshold = "below_threshold" {
        wanted_s: u64 = "The run that was wanted.",
        least_s: u64 = "The shortest that is worth it.",
    }
    /// The soil lacks water, and a program gives it back.
    Refill = "refill" {
        lack_mm: Millimetres = "Missing to field capacity.",
        available_mm: Millimetres = "What the root zone holds for plants.",
        gross_mm: Millimetres = "What is given for it, losses included.",
    }
    /// The soil does not lack enough for a refill.
    EnoughWater = "enough_water" {
        lack_mm: Millimetres = "Missing to field capacity.",
        start_mm: Millimetres = "From here on it is refilled.",
        available_mm: Millimetres = "What the root zone holds for plants.",
    }
    /// The last count of what the soil lacks is too old.
    BalanceStale = "balance_stale" {
        age_s: u64 = "Its age.",
        fresh_s: u64 = "How long a count holds.",
    }
    /// What the soil lacks cannot be counted.
    BalanceUnknown = "balance_unknown" { cause: String = "Code of the cause." }
    /// What the soil will lack on a later day is not known yet.
    BalanceAhead = "balance_ahead" {}
    /// The weather of some days is missing, so that their evapotranspiration was guessed.
    WeatherGuessed = "weather_guessed" { n_days: u32 = "How many." }
    /// Season and adjustment leave nothing of the run.
    AdjustedToNothing = "adjusted_to_nothing" {}
    /// The step of the program is switched off.
    StepDisabled = "step_disabled" {}
    /// The program is switched off.
    ProgramDisabled = "program_disabled" {}
    /// The program's last start is not over.
    ProgramBusy = "program_busy" { remaining_s: u64 = "Rest of it." }
    /// A person paused zone, program or farm.
    Suspended = "suspended" { remaining_s: u64 = "Rest of the pause." }
    /// A pause of water ended a run before the soil was wet enough; it goes on.
    SoilGoesOn = "soil_goes_on" {}
    /// A person paused the water of the farm; what ran goes on afterwards.
    WaterPaused = "water_paused" { remaining_s: u64 = "Rest of the pause." }
    /// It rained or will rain, so nothing starts for a while.
    RainDelay = "rain_delay" { remaining_s: u64 = "Rest of the delay." }
    /// A person skipped this start.
    SkippedByPerson = "skipped_by_person" { left: u32 = "How many more are skipped." }
    /// The start was missed and it is too late to make up for it, or a newer one took its place.
    MissedStart = "missed_start" {
        late_s: u64 = "How late it is.",
        catch_up_s: u64 = "How late it may be.",
    }
    /// The program cannot be over in time and waits for the next day.
    FinishTooNear = "finish_too_near" {
        needed_s: u64 = "What it needs.",
        left_s: u64 = "What is left.",
    }
    /// The program needs more than a day, so that no start is early enough.
    FinishTooLong = "finish_too_long" { needed_s: u64 = "What it needs." }
    /// The run ends after the program is to be finished.
    FinishLate = "finish_late" { late_s: u64 = "By how much." }
    /// The gateway does not know the time.
    ClockUnset = "clock_unset" {}
    /// Another zone has the source, or may still have it.
    SourceBusy = "source_busy" { zone: ZoneId = "That zone." }
    /// A source or pipe on the way carries no more.
    CapacityFull = "capacity_full" {
        source: SourceId = "That source.",
        in_use_l_per_h: LitresPerHour = "What it gives already, L/h.",
        wanted_l_per_h: LitresPerHour = "What the zone would take, L/h.",
        capacity_l_per_h: LitresPerHour = "What it carries, L/h.",
    }
    /// The water is kept free for a zone that has waited too long.
    CapacityKept = "capacity_kept" { zone: ZoneId = "That zone." }
    /// Another zone of the same program and group is not done yet.
    ProgramTurn = "program_turn" { zone: ZoneId = "That zone." }
    /// There is no such source, or it has no pump that is switched from here.
    UnknownSource = "unknown_source" { source: SourceId = "What was asked for." }
    /// Another zone of the source has just been started.
    Staggered = "staggered" {
        source: SourceId = "The source.",
        remaining_s: u64 = "Rest of the time between two starts.",
    }
    /// A zone draws water, so its pump or master valve is switched on.
    PumpStart = "pump_start" { source: SourceId = "The source." }
    /// No zone draws water any more, so its pump or master valve is switched off.
    PumpNotNeeded = "pump_not_needed" { source: SourceId = "The source." }
    /// No valve is open for certain, so the pump is switched off.
    PumpUncovered = "pump_uncovered" { source: SourceId = "The source." }
    /// Its node keeps an output on only so long at a time, so it goes off before that, and on again after its rest.
    PumpLongestRun = "pump_longest_run" {
        source: SourceId = "The source.",
        most_s: u64 = "How long the node keeps it on.",
    }
    /// The node of a pump or master valve refused a command.
    PumpRefused = "pump_refused" {
        source: SourceId = "The source.",
        refusal: RefusalReason = "The node's reason.",
    }
    /// The pump is being switched off; the zone waits until it is.
    PumpStopping = "pump_stopping" { source: SourceId = "The source." }
    /// The pump rests between two starts.
    PumpResting = "pump_resting" {
        source: SourceId = "The source.",
        remaining_s: u64 = "Rest of the pause.",
    }
    /// The pump has had its starts of this hour.
    PumpStartsUsed = "pump_starts_used" {
        source: SourceId = "The source.",
        starts: u32 = "How many it may have.",
        remaining_s: u64 = "Until it may start again.",
    }
    /// The master valve opens before the zone's valve.
    PumpLead = "pump_lead" {
        source: SourceId = "The source.",
        remaining_s: u64 = "Until the zone's valve follows.",
    }
    /// Someone switched the pump on at its node; it is switched off, because no valve is known to be open for it.
    PumpStartedLocally = "pump_started_locally" { source: SourceId = "The source." }
    /// A fault of the source waits for a person to clear it.
    SourceFault = "source_fault" {
        source: SourceId = "The source.",
        fault: String = "Code of the fault's reason.",
    }
    /// The source rests after a failure of its pump.
    SourcePaused = "source_paused" {
        source: SourceId = "The source.",
        failures: u32 = "Failures in a row.",
        remaining_s: u64 = "Rest of the pause.",
    }
    /// A person cleared the fault of a source.
    SourceCleared = "source_cleared" { source: SourceId = "The source." }
    /// Water flows as it should: the valve is open indeed.
    FlowConfirmed = "flow_confirmed" { flow_l_per_h: LitresPerHour = "The flow." }
    /// More water flows than should: a line has burst or come off.
    HighFlow = "high_flow" {
        flow_l_per_h: LitresPerHour = "The flow.",
        expected_l_per_h: LitresPerHour = "What it is measured by: the first good runs, or what the plan states.",
    }
    /// Less water flows than should: a filter or lines are clogged.
    LowFlow = "low_flow" {
        flow_l_per_h: LitresPerHour = "The flow.",
        expected_l_per_h: LitresPerHour = "What it is measured by: the first good runs, or what the plan states.",
    }
    /// The valve is open and next to nothing flows: valve, pump or a gate by hand.
    NoFlow = "no_flow" {
        flow_l_per_h: LitresPerHour = "The flow.",
        expected_l_per_h: LitresPerHour = "What the last good runs had, or what the plan states; 0: not known.",
    }
    /// Water flows although the valve was closed; it is closed once more.
    LeakAfterClose = "leak_after_close" {
        flow_l_per_h: LitresPerHour = "The flow.",
        attempts: u32 = "Which time.",
    }
    /// Water flows although the valve was closed several times.
    ValveStuckOpen = "valve_stuck_open" { flow_l_per_h: LitresPerHour = "The flow." }
    /// The run has taken all that it may.
    VolumeReached = "volume_reached" { volume_l: u32 = "That much." }
    /// A source gives more than its zones should take.
    SourceHighFlow = "source_high_flow" {
        source: SourceId = "The source.",
        flow_l_per_h: LitresPerHour = "The flow.",
        expected_l_per_h: LitresPerHour = "What its open zones should take.",
    }
    /// A source gives less than its zones should take.
    SourceLowFlow = "source_low_flow" {
        source: SourceId = "The source.",
        flow_l_per_h: LitresPerHour = "The flow.",
        expected_l_per_h: LitresPerHour = "What its open zones should take.",
    }
    /// A source gives next to nothing although valves are open.
    SourceNoFlow = "source_no_flow" {
        source: SourceId = "The source.",
        flow_l_per_h: LitresPerHour = "The flow.",
        expected_l_per_h: LitresPerHour = "What its open zones should take; 0: not known.",
    }
    /// A source gives water although all valves are closed.
    UnscheduledFlow = "unscheduled_flow" {
        source: SourceId = "The source.",
        flow_l_per_h: LitresPerHour = "The flow.",
    }
    /// A source gives water although all valves are closed; each of them is closed once more.
    SourceClosedAgain = "source_closed_again" {
        source: SourceId = "The source.",
        flow_l_per_h: LitresPerHour = "The flow.",
        attempts: u32 = "Which time.",
    }
    /// The tank or well is too low.
    TankLow = "tank_low" {
        source: SourceId = "The source.",
        level: Thousandths = "Its level, in the unit of its gauge.",
        least: Thousandths = "The level below which it gives nothing.",
        resume: Thousandths = "The level from which it gives again.",
        unit: String = "The unit of its gauge; empty where none is known.",
    }
    /// Nothing is known of the tank's level, or for too long.
    TankUnknown = "tank_unknown" { source: SourceId = "The source." }
    /// The pressure is too low while water flows.
    PressureLow = "pressure_low" {
        source: SourceId = "The source.",
        pressure_kpa: u32 = "The pressure.",
        min_kpa: u32 = "The lowest that is right.",
    }
    /// The pressure is too high while water flows.
    PressureHigh = "pressure_high" {
        source: SourceId = "The source.",
        pressure_kpa: u32 = "The pressure.",
        max_kpa: u32 = "The highest that is right.",
    }
    /// A meter has said nothing since water began to flow, so that nothing watches the flow; runs end by time.
    MeterSilent = "meter_silent" {
        device: NodeId = "The device.",
        metric: MetricName = "Its metric.",
        hours: u32 = "For how long nothing was heard of it.",
    }
    /// A gauge has said nothing for too long, so that its guard is off.
    GaugeSilent = "gauge_silent" {
        device: NodeId = "The device.",
        metric: MetricName = "Its metric.",
        hours: u32 = "For how long nothing was heard of it.",
    }
    /// A meter or gauge whose silence was told speaks again.
    GaugeSpeaks = "gauge_speaks" {
        device: NodeId = "The device.",
        metric: MetricName = "Its metric.",
    }
    /// It rained enough.
    Rained = "rained" {
        rain_mm: Thousandths = "So much.",
        limit_mm: Thousandths = "So much is enough.",
        hours: u32 = "Within so many hours.",
    }
    /// The rain contact says that it rains, or has just rained.
    RainContact = "rain_contact" {}
    /// The soil contact says that the soil is wet, or has just been.
    SoilContact = "soil_contact" {}
    /// It is so cold that drops freeze.
    Frost = "frost" {
        temperature_c: Thousandths = "The temperature.",
        below_c: Thousandths = "Nothing is watered below.",
        clear_c: Thousandths = "Water flows again from here.",
    }
    /// The minimum time between two runs is not over.
    MinimumOff = "minimum_off" { remaining_s: u64 = "Rest of it." }
    /// A person stopped the zone, so automatic watering rests for a while.
    RestAfterStop = "rest_after_stop" {
        by: String = "Who stopped it.",
        remaining_s: u64 = "Rest of the pause.",
    }
    /// A person locked the zone.
    Locked = "locked" {
        by: String = "Who locked it.",
        note: String = "Why, in that person's words.",
    }
    /// A person took the lock away.
    Unlocked = "unlocked" {}
    /// A person cleared the fault.
    FaultCleared = "fault_cleared" {}
    /// The node of the valve has no connection.
    NodeOffline = "node_offline" { node: NodeId = "That node." }
    /// The node did not answer.
    CommandUnanswered = "command_unanswered" {
        waited_s: u64 = "Time since the first of the commands.",
        attempts: u32 = "How many were sent.",
    }
    /// The node refused a command.
    CommandRefused = "command_refused" { refusal: RefusalReason = "The node's reason." }
    /// The zone rests after a failure.
    Quarantined = "quarantined" {
        failures: u32 = "Failures in a row.",
        remaining_s: u64 = "Rest of the pause.",
    }
    /// A fault waits for a person to clear it.
    UnresolvedFault = "unresolved_fault" { fault: String = "Code of the fault's reason." }
    /// The node accepted the command, but its valve did not report that it opened.
    ValveNotConfirmed = "valve_not_confirmed" {
        waited_s: u64 = "Time since the command was accepted.",
    }
    /// The node closed the valve by itself.
    ClosedByNode = "closed_by_node" { close: CloseReason = "The node's reason." }
    /// The node reported the valve closed without saying why.
    ValveFoundClosed = "valve_found_closed" {}
    /// A valve was open that nobody here had opened.
    UnexpectedOpen = "unexpected_open" { command: CommandId = "The command that the node named." }
    /// Nothing was heard of the valve until its last possible lease was over.
    ValveSilent = "valve_silent" { waited_s: u64 = "How long." }
    /// The farm was saved in another form.
    FarmSaved = "farm_saved" {
        version: u32 = "Number of the version.",
        n_added: u32 = "Lines of it that the one before had not.",
        n_removed: u32 = "Lines of the one before that it has not.",
        hash: String = "SHA-256 of its text, the first 16 hexadecimal digits.",
        note: String = "What the person who saved it says about it.",
    }
    /// The farm is run by another version from here on.
    FarmInForce = "farm_in_force" { version: u32 = "Number of the version." }
    /// Another version of the farm has no place for the zone as it is: it is closed before that one takes over.
    FarmChanged = "farm_changed" { version: u32 = "Number of the version." }
    /// A valve that no zone has was open.
    ValveOfNoZone = "valve_of_no_zone" {
        node: NodeId = "Its node.",
        valve: u32 = "Its number there.",
    }
    /// Somebody else saved the farm meanwhile.
    FarmConflict = "farm_conflict" { version: u32 = "Number of the newest version." }
    /// What was changed needs a start of the gateway.
    FarmNeedsRestart = "farm_needs_restart" { keys: String = "The keys." }
    /// A node began anew.
    NodeRestarted = "node_restarted" {
        node: NodeId = "The node.",
        restart: ResetCause = "Why, as it says.",
        epoch: u32 = "Number of the boot.",
        n_unheard: u32 = "Boots right before it that nobody here heard of.",
    }
    /// A node began anew again and again because something failed.
    NodeRestless = "node_restless" {
        node: NodeId = "The node.",
        restart: ResetCause = "Why the last time, as it says.",
        n_restarts: u32 = "How often within a day.",
    }
    /// A node's memory was full and gave up its oldest readings.
    ReadingsLost = "readings_lost" {
        node: NodeId = "The node.",
        n_records: u32 = "How many.",
        from_at: UnixMs = "The record before them was made then.",
        to_at: UnixMs = "They were made before then.",
    }
    /// The gateway stops and closes what it opened; nobody would watch it.
    GatewayStopping = "gateway_stopping" {}
    /// The gateway started anew and closes what it cannot account for.
    GatewayRestarted = "gateway_restarted" {}
}
