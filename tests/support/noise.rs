//! Bytes that are nearly right: good ones with a bit flipped, cut, doubled, with something put in between, or anything at all.
//! The same for the same seed.

/// A source of spoilt bytes (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Noise(u64);

/// Longest run of bytes that are anything.
const RAW_LEN_MAX: usize = 40;

/// The seed of the environment (`GIOT_SEED`, or that of the property tests), for a test to print.
#[must_use]
pub fn seed() -> u64 {
    let seed = ["GIOT_SEED", "PROPTEST_RNG_SEED"].into_iter().find_map(|name| std::env::var(name).ok());
    seed.and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

impl Noise {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`, or 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % n).unwrap_or_default()
    }

    /// Any byte.
    pub const fn byte(&mut self) -> u8 {
        self.number().to_be_bytes()[0]
    }

    /// So many of them.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// One of `choices`, of which there is one at least.
    pub fn choose<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }

    /// Good bytes, spoilt in one of six ways; at least one byte, and never the same.
    #[must_use]
    pub fn spoil(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        let at = self.below(good.len());
        match self.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 => bytes.truncate(at),
            2 => bytes.extend_from_within(at..),
            3 => bytes.insert(at, self.byte()),
            4 => {
                let n_more = 1 + self.below(RAW_LEN_MAX);
                bytes.extend(self.bytes(n_more));
            }
            _ => {
                let len = 1 + self.below(RAW_LEN_MAX);
                bytes = self.bytes(len);
            }
        }
        if bytes.is_empty() || bytes == good {
            bytes.push(self.byte());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Noise;

    #[test]
    fn noise_is_never_what_it_spoils_and_the_same_for_a_seed() {
        let (mut one, mut other) = (Noise::new(7), Noise::new(7));
        for good in [&b""[..], b"x", b"a longer one"] {
            for _ in 0..1000 {
                let spoilt = one.spoil(good);
                assert!(!spoilt.is_empty() && spoilt != good);
                assert_eq!(spoilt, other.spoil(good));
            }
        }
    }
}
