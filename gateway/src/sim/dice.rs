//! Chance, from a seed and a label: each part of the simulation throws its own dice, so that one part's throws do not
//! change another's. Equal seeds give equal seasons.

use giot_board_host::field::FieldSeed;

/// The dice of one part of the simulation.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    seed: FieldSeed,
    n_thrown: i64,
}

impl Dice {
    pub(super) fn new(seed: u64, label: u64) -> Self {
        Self { seed: FieldSeed(seed).stream(label), n_thrown: 0 }
    }

    /// A number below `n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.n_thrown = self.n_thrown.wrapping_add(1);
        self.seed.bits(self.n_thrown).checked_rem(n).unwrap_or(0)
    }

    /// A number from `min` to `max`, both included.
    pub(super) fn between(&mut self, min: u64, max: u64) -> u64 {
        min.saturating_add(self.below(max.saturating_sub(min).saturating_add(1)))
    }

    /// A place in a list of `n`.
    pub(super) fn idx(&mut self, n: usize) -> usize {
        usize::try_from(self.below(u64::try_from(n).unwrap_or(0))).unwrap_or(0)
    }

    /// Whether something happens that does so in `n` of a thousand cases.
    pub(super) fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    /// A bell-shaped number with mean 0 and deviation 1.
    pub(super) fn bell(&mut self) -> f64 {
        self.n_thrown = self.n_thrown.wrapping_add(1);
        self.seed.bell(self.n_thrown)
    }
}
