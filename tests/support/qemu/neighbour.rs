//! Other devices on an emulated chip's RS485 line, each with registers of its own.

use crate::modbus::framed;

/// How a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Plain,
    /// With a checksum that does not fit.
    Garbled,
    /// In the name of another.
    Foreign,
    /// That it is broken (exception 4).
    Broken,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// Its address.
    pub address: u8,
    /// Its registers: the first one's number, and what they hold.
    pub registers: (u16, Vec<u16>),
    /// How it answers.
    pub manner: Manner,
}

impl Neighbour {
    /// What it says to a whole question; nothing to one for another, and that there are no such registers (exception 2).
    pub(super) fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let &[address, function @ (3 | 4), high, low, 0, count, _, _] = question else { return None };
        if address != self.address || framed(&question[..6]) != question {
            return None;
        }
        let first = u16::from_be_bytes([high, low]).checked_sub(self.registers.0).map(usize::from);
        let words = first.and_then(|first| self.registers.1.get(first..first + usize::from(count)));
        let mut answer = match (self.manner, words) {
            (Manner::Broken, _) => vec![address, function | 0x80, 4],
            (_, None) => vec![address, function | 0x80, 2],
            (_, Some(words)) => {
                let bytes = words.iter().flat_map(|word| word.to_be_bytes());
                [address, function, 2 * count].into_iter().chain(bytes).collect()
            }
        };
        if self.manner == Manner::Foreign {
            answer[0] += 1;
        }
        let mut answer = framed(&answer);
        if self.manner == Manner::Garbled {
            *answer.last_mut()? ^= 0x10;
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::{Manner, Neighbour};

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: String = hex.chars().filter(|digit| *digit != ' ').collect();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex"))
            .collect()
    }

    /// The frames that are printed for DFRobot SEN0601 and ES-SM-TH-01S.
    #[test]
    fn a_neighbour_speaks_as_probes_do() {
        let of = |registers| Neighbour { address: 1, registers, manner: Manner::Plain };
        let three = of((0, vec![0x0292, 0xff9b, 0x03e8]));
        assert_eq!(three.answer(&bytes("010300000003 05CB")), Some(bytes("010306 0292 FF9B 03E8 D80F")));
        assert_eq!(of((0x12, vec![45])).answer(&bytes("010300120001 240F")), Some(bytes("010302 002D 7859")));
        assert_eq!(
            three.answer(&bytes("010300120001 240F")).map(|answer| answer[..3].to_vec()),
            Some(vec![1, 0x83, 2])
        );
        assert_eq!(three.answer(&bytes("010300000003 05CC")), None);
    }
}
