//! One question and one answer on a Modbus RTU line as bytes (Modbus over Serial Line V1.02 §2.5.1): no time, no line.
//!
//! The only file that knows the codec library. Its parser trusts the byte count of an answer, so length, address and
//! function are checked here before it sees a frame.

use rmodbus::client::ModbusRequest;
use rmodbus::{ErrorKind, ModbusProto};

/// Most registers of one question: twice the longest map of a soil probe.
pub const REGISTERS_MAX: usize = 16;
/// Longest answer, bytes: address, function, byte count, registers, CRC.
pub const ANSWER_LEN_MAX: usize = 5 + 2 * REGISTERS_MAX;
/// Every question to read registers, bytes.
pub const QUESTION_LEN: usize = 8;

/// An exception answer: address, function, code, CRC.
pub(super) const EXCEPTION_LEN: usize = 5;
/// Set in the function of an exception answer.
const EXCEPTION_FLAG: u8 = 0x80;

/// The two ways of reading registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// 03, as soil probes understand it.
    Holding,
    /// 04.
    Input,
}

impl Function {
    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Holding => 3,
            Self::Input => 4,
        }
    }
}

/// A question for some registers of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    address: u8,
    function: Function,
    register: u16,
    count: u8,
}

/// Registers of an answer.
pub type Words = heapless::Vec<u16, REGISTERS_MAX>;

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The checksum does not fit.
    Crc,
    /// It comes from another device.
    Foreign,
    /// It answers another question, or its length is not the one asked for, or no answer is in what came.
    Shape,
    /// The device says that it cannot (Modbus Application Protocol V1.1b3 §7: 1 function, 2 register, 3 count, 4 fault…).
    Exception(u8),
}

impl Question {
    /// Asks device `address` (1 to 247) for `count` registers (1 to [`REGISTERS_MAX`]) from `register`; `None` beyond
    /// these limits.
    #[must_use]
    pub fn new(address: u8, function: Function, register: u16, count: u8) -> Option<Self> {
        let possible = (1..=247).contains(&address) && (1..=REGISTERS_MAX).contains(&usize::from(count));
        possible.then_some(Self { address, function, register, count })
    }

    /// The device.
    #[must_use]
    pub const fn address(&self) -> u8 {
        self.address
    }

    /// The bytes to send; `None` never happens for a question of [`Self::new`].
    #[must_use]
    pub fn encode(&self) -> Option<heapless::Vec<u8, QUESTION_LEN>> {
        self.generate().map(|(_, bytes)| bytes)
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn decode(&self, answer: &[u8]) -> Result<Words, FrameError> {
        let (request, _) = self.generate().ok_or(FrameError::Shape)?;
        let [address, function, third, ..] = *answer else { return Err(FrameError::Shape) };
        let is_exception = function == self.function.code() | EXCEPTION_FLAG && answer.len() == EXCEPTION_LEN;
        let is_full = answer.len() == self.full_len();
        if !is_exception && !is_full {
            return Err(FrameError::Shape);
        }
        let checked = request.parse_ok(answer);
        if checked == Err(ErrorKind::FrameCRCError) {
            return Err(FrameError::Crc);
        }
        if address != self.address {
            return Err(FrameError::Foreign);
        }
        if is_exception {
            return Err(FrameError::Exception(third));
        }
        let n_bytes = 2 * usize::from(self.count);
        if function != self.function.code() || usize::from(third) != n_bytes {
            return Err(FrameError::Shape);
        }
        let mut words = Words::new();
        request.parse_u16(answer, &mut words).map_err(|_| FrameError::Shape)?;
        Ok(words)
    }

    /// Length of an answer with registers, bytes.
    #[must_use]
    pub fn full_len(&self) -> usize {
        EXCEPTION_LEN + 2 * usize::from(self.count)
    }

    /// Whether a frame begins as the answer with registers does.
    pub(super) fn begins(&self, frame: &[u8]) -> bool {
        frame.starts_with(&[self.address, self.function.code(), self.count.saturating_mul(2)])
    }

    fn generate(&self) -> Option<(ModbusRequest, heapless::Vec<u8, QUESTION_LEN>)> {
        let mut request = ModbusRequest::new(self.address, ModbusProto::Rtu);
        let mut bytes = heapless::Vec::new();
        let count = u16::from(self.count);
        let generated = match self.function {
            Function::Holding => request.generate_get_holdings(self.register, count, &mut bytes),
            Function::Input => request.generate_get_inputs(self.register, count, &mut bytes),
        };
        generated.ok().map(|()| (request, bytes))
    }
}
