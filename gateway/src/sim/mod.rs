//! A whole season around the real engine, in simulated time: weather, soil, probes, valves, nodes, links, people, and
//! everything that goes wrong on a farm. Deterministic from a seed; no sockets, no files, no clock, no async.
//!
//! What is real: the engine, the dating and deduplication of records ([`crate::ingest::node`]), the decoder of flat JSON
//! ([`crate::ingest::json`]), the messages' types, the sky and soils of the simulated board. What is simulated, from the contract: nodes, links, the store's commits and the
//! loss of what was not committed. After every event the promises P1–P7 are checked from what the simulation itself
//! knows; P10 by the hash over all actions. It must not decide anything about water.
//!
//! | file | holds |
//! |---|---|
//! | `farm` | the plan: households, sources, zones, programs |
//! | `field` | sky, soil, pipes |
//! | `pump` | pumps and master valves, and whether their water has a way |
//! | `meter` | water meters of zones, and whether what they show is told and followed |
//! | `node` | a node as the wire promises it |
//! | `station` | devices that are no nodes: flat JSON |
//! | `season` | events in the order of time, links between nodes and gateway |
//! | `gateway` | engine, ingest and store; restarts and kills |
//! | `trouble` | what breaks, and what people do |
//! | `checks` | the promises |
//! | `dice` | chance |

mod checks;
mod dice;
mod farm;
mod field;
mod gateway;
mod hours;
mod meter;
mod node;
mod pump;
mod season;
mod station;
mod trouble;

use std::collections::BTreeMap;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seed of everything that is left to chance.
    pub seed: u64,
    /// Length of the season.
    pub n_days: u64,
    /// Zones of the farm, spread over three households.
    pub n_zones: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Promises that were broken; 0 is the aim.
    pub n_violations: u64,
    /// The first of them.
    pub first: Option<String>,
    /// The events before it, oldest first; empty unless asked for.
    pub trail: Vec<String>,
    /// Runs that nodes began under a command.
    pub n_runs: u64,
    /// Starts of pumps and master valves.
    pub n_pump_starts: u64,
    /// Looks at zones' valves that commands had opened, and those of them that found a pump or master valve on the way off.
    pub n_looks: u64,
    /// See [`Self::n_looks`].
    pub n_dry_looks: u64,
    /// Water of all runs, litres.
    pub litres: u64,
    /// The same over the wetted ground of all zones, mm.
    pub mm: u64,
    /// Findings of water meters that had to be told, and were looked for.
    pub n_findings: u64,
    /// Runs that were to end by their volume.
    pub n_doses: u64,
    /// Days of zones on which the crop lacked water at noon.
    pub n_stress_days: u64,
    /// Records that the simulated store holds.
    pub n_records: u64,
    /// Readings that nodes gave up because their outbox was full.
    pub n_lost: u64,
    /// What went wrong, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Entries of the diary about water that was not given, by reason.
    pub skips: BTreeMap<&'static str, u64>,
    /// Orders that nodes refused, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Hash over all actions of the engine.
    pub actions_hash: u64,
}

/// Lives through a season; `on_day` hears of each day that is over. When a promise breaks, the same season is lived once
/// more to tell how it came to that.
///
/// # Errors
/// When the farm of the simulation is not sound.
pub fn season(options: Options, on_day: &mut dyn FnMut(u64)) -> anyhow::Result<Report> {
    let mut report = season::live(options, false, on_day)?;
    if report.n_violations > 0 {
        report.trail = season::live(options, true, &mut |_| {})?.trail;
    }
    Ok(report)
}

/// What a season has to tell, for tests of how it is told.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The plan of its farm.
    pub(crate) plan: giot_engine::Plan,
    /// When its first day begins.
    pub(crate) start: giot_shared::time::UnixMs,
    /// The diary, whatever a kill may have taken from the store, each entry with its true time.
    pub(crate) entries: Vec<(giot_shared::time::UnixMs, giot_engine::Entry)>,
    /// How each zone stood every hour while the gateway ran.
    pub(crate) views: Vec<(giot_shared::time::UnixMs, giot_engine::ZoneView)>,
}

/// Lives through a season and keeps what it has to tell.
#[cfg(test)]
pub(crate) fn told(options: Options) -> anyhow::Result<Told> {
    season::live_and_tell(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that a test lives through: few by default, as many as `GIOT_SIM_SEEDS` says in a long run.
    fn seeds() -> std::ops::RangeInclusive<u64> {
        let n = std::env::var("GIOT_SIM_SEEDS").ok().map(|n| n.parse().expect("GIOT_SIM_SEEDS is a number"));
        1..=n.unwrap_or(3)
    }

    #[test]
    fn seasons_keep_the_promises_and_repeat_bit_by_bit() {
        let mut n_judged = 0;
        for seed in seeds() {
            let options = Options { seed, n_days: 30, n_zones: 6 };
            let first = season(options, &mut |_| {}).unwrap();
            assert_eq!(first.n_violations, 0, "seed {seed}: {:?}\n{}", first.first, first.trail.join("\n"));
            assert!(first.n_runs > 40 && first.litres > 10_000, "seed {seed} hardly waters: {first:?}");
            assert!(first.n_pump_starts > 40, "seed {seed} hardly pumps: {first:?}");
            n_judged += first.n_findings + first.n_doses;
            assert!(first.faults.len() > 5, "seed {seed} is too kind: {:?}", first.faults);
            if seed == 1 {
                assert_eq!(season(options, &mut |_| {}).unwrap(), first, "P10");
            }
        }
        assert!(n_judged > 0, "no meter had anything to tell");
    }
}
