//! What goes on after a deep sleep, as bytes in memory that keeps its content.
//!
//! All numbers are little endian; bytes with another mark, length or checksum are no carry, and the boot is one like
//! after power came on.
//!
//! | bytes | content |
//! |---|---|
//! | 0..4 | mark, which changes with this table |
//! | 4..8, 8..12 | epoch, last count used in it |
//! | 12..20 | uptime at the beginning of the sleep, ms |
//! | 20..28 | water counted in this epoch, µL |
//! | 28..32 | time until the node's own record, ms |
//! | 32 | bit 0: the epoch met the gateway; bit 1: the supply was too low for a valve |
//! | 33 | attempts in a row that found nobody |
//! | 34 | wake-ups that are still to go by without radio |
//! | 35 | number of probes |
//! | 36..44 | time of this epoch that was slept, ms |
//! | 44.. | per probe: number u8, time until its reading u32 ms |
//! | last 4 | checksum of all before, FNV-1a |

use super::SKIPS;
use crate::settings::PROBES_MAX;
use giot_shared::ids::{Position, ProbeId};
use giot_shared::time::UptimeMs;

/// Changes with the table above.
const MARK: u32 = 0x6769_7402;
const HEAD_LEN: usize = 44;
const PROBE_LEN: usize = 5;
const SUM_LEN: usize = 4;
/// Length of the bytes: whole words.
pub const CARRY_LEN: usize = (HEAD_LEN + PROBE_LEN * PROBES_MAX + SUM_LEN).next_multiple_of(4);

const FLAG_MET: u8 = 1;
const FLAG_LOW_POWER: u8 = 2;

/// Time until a probe is read, ms.
pub type DueProbes = heapless::Vec<(ProbeId, u64), PROBES_MAX>;

/// The node's state at the moment it falls asleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carry {
    /// The last record made.
    pub last: Position,
    /// Whether this epoch met the gateway: its time is known then, and waking begins another.
    pub met: bool,
    /// Uptime at this moment.
    pub uptime: UptimeMs,
    /// Water counted in this epoch, µL.
    pub metered_ul: u64,
    /// Time of this epoch that was slept, ms.
    pub slept_ms: u64,
    /// The supply was too low for a valve.
    pub low_power: bool,
    /// Time until the node's own record, ms.
    pub health_in_ms: u64,
    /// Time until each probe is read, ms.
    pub probes_in_ms: DueProbes,
    /// Attempts in a row that found nobody.
    pub n_failed: u8,
    /// Wake-ups that are still to go by without radio.
    pub n_to_skip: u8,
}

/// The node's state at the moment it wakes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Woken {
    /// The last record of the epoch that goes on; `None`: a new epoch begins, because the last one has met the gateway.
    /// So each epoch is dated close to its records, whatever the slow clock of a sleeping chip does in a week.
    pub last: Option<Position>,
    /// What the uptime of this boot's first millisecond is, ms.
    pub uptime_base_ms: u64,
    /// Whether the radio is to be used in this wake-up.
    pub contact: bool,
    pub(crate) metered_ul: u64,
    pub(crate) slept_ms: u64,
    pub(crate) low_power: bool,
    pub(crate) health_in_ms: u64,
    pub(crate) probes_in_ms: DueProbes,
    pub(crate) n_failed: u8,
    pub(crate) n_to_skip: u8,
}

impl Carry {
    /// Notes how an attempt went: `answered` is whether all was said. Without an attempt (`contact` false) one more
    /// wake-up went by.
    pub fn note_contact(&mut self, contact: bool, answered: bool) {
        if answered {
            (self.n_failed, self.n_to_skip) = (0, 0);
        } else if contact {
            self.n_failed = self.n_failed.saturating_add(1);
            let step = usize::from(self.n_failed).min(SKIPS.len() - 1);
            self.n_to_skip = SKIPS.get(step).copied().unwrap_or(0);
        } else {
            self.n_to_skip = self.n_to_skip.saturating_sub(1);
        }
    }

    /// What it is after a sleep of `slept_ms`.
    #[must_use]
    pub fn wake(self, slept_ms: u64) -> Woken {
        let due = |(probe, in_ms): &(ProbeId, u64)| (*probe, in_ms.saturating_sub(slept_ms));
        let goes_on = !self.met;
        Woken {
            last: goes_on.then_some(self.last),
            uptime_base_ms: if goes_on { self.uptime.plus_ms(slept_ms).0 } else { 0 },
            contact: self.n_to_skip == 0,
            metered_ul: if goes_on { self.metered_ul } else { 0 },
            slept_ms: if goes_on { self.slept_ms.saturating_add(slept_ms) } else { 0 },
            low_power: self.low_power,
            health_in_ms: self.health_in_ms.saturating_sub(slept_ms),
            probes_in_ms: self.probes_in_ms.iter().map(due).collect(),
            n_failed: self.n_failed,
            n_to_skip: self.n_to_skip,
        }
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; CARRY_LEN] {
        let mut bytes: heapless::Vec<u8, CARRY_LEN> = heapless::Vec::new();
        let flags = if self.met { FLAG_MET } else { 0 } | if self.low_power { FLAG_LOW_POWER } else { 0 };
        let n_probes = u8::try_from(self.probes_in_ms.len()).unwrap_or(u8::MAX);
        put(&mut bytes, &MARK.to_le_bytes());
        put(&mut bytes, &self.last.epoch.to_le_bytes());
        put(&mut bytes, &self.last.seq.to_le_bytes());
        put(&mut bytes, &self.uptime.0.to_le_bytes());
        put(&mut bytes, &self.metered_ul.to_le_bytes());
        put(&mut bytes, &span(self.health_in_ms));
        put(&mut bytes, &[flags, self.n_failed, self.n_to_skip, n_probes]);
        put(&mut bytes, &self.slept_ms.to_le_bytes());
        for (probe, in_ms) in &self.probes_in_ms {
            put(&mut bytes, &[probe.0]);
            put(&mut bytes, &span(*in_ms));
        }
        // There is room: the length counts every probe.
        let _full = bytes.resize(CARRY_LEN - SUM_LEN, 0);
        let sum = checksum(&bytes).to_le_bytes();
        put(&mut bytes, &sum);
        bytes.into_array().unwrap_or([0; CARRY_LEN])
    }

    /// From bytes; `None` when they are not what [`Self::encode`] gave.
    #[must_use]
    pub fn decode(bytes: &[u8; CARRY_LEN]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<SUM_LEN>()?;
        let mut rest = body;
        let mark = u32::from_le_bytes(take(&mut rest)?);
        if mark != MARK || checksum(body) != u32::from_le_bytes(*sum) {
            return None;
        }
        let last = Position {
            epoch: u32::from_le_bytes(take(&mut rest)?),
            seq: u32::from_le_bytes(take(&mut rest)?),
        };
        let uptime = UptimeMs(u64::from_le_bytes(take(&mut rest)?));
        let metered_ul = u64::from_le_bytes(take(&mut rest)?);
        let health_in_ms = u64::from(u32::from_le_bytes(take(&mut rest)?));
        let [flags, n_failed, n_to_skip, n_probes] = take(&mut rest)?;
        let slept_ms = u64::from_le_bytes(take(&mut rest)?);
        let mut probes_in_ms = heapless::Vec::new();
        for _ in 0..n_probes {
            let [probe] = take(&mut rest)?;
            let in_ms = u64::from(u32::from_le_bytes(take(&mut rest)?));
            probes_in_ms.push((ProbeId(probe), in_ms)).ok()?;
        }
        Some(Self {
            last,
            met: flags & FLAG_MET != 0,
            uptime,
            metered_ul,
            slept_ms,
            low_power: flags & FLAG_LOW_POWER != 0,
            health_in_ms,
            probes_in_ms,
            n_failed,
            n_to_skip,
        })
    }
}

fn put(bytes: &mut heapless::Vec<u8, CARRY_LEN>, more: &[u8]) {
    // There is room: the length counts every field.
    let _full = bytes.extend_from_slice(more);
}

/// A span of 49 days at most: none is planned longer.
fn span(ms: u64) -> [u8; 4] {
    u32::try_from(ms).unwrap_or(u32::MAX).to_le_bytes()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// FNV-1a, 32 bits: memory that lost its content fails it but once in four thousand million times, and the mark too.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
