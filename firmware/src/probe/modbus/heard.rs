//! What comes after a question, byte by byte: the answer is found wherever it begins.
//!
//! A transceiver that turns round, or a motor beside the line, puts bytes before an answer. They are no reason to ask again: the
//! answer still comes, and does not say which question it is for. So each byte is looked at as the last one of an answer, and nothing
//! but that answer, or the frame that must have been it, ends the listening before its time.

use super::LineError;
use super::frame::{ANSWER_LEN_MAX, EXCEPTION_LEN, FrameError, Question, Words};

/// The bytes heard since a question.
#[derive(Debug)]
pub(super) struct Heard<'q> {
    question: &'q Question,
    /// The last ones, as many as an answer has.
    window: heapless::Vec<u8, ANSWER_LEN_MAX>,
    n_bytes: usize,
    /// The frame that must have been the answer has come with a wrong checksum.
    is_spoilt: bool,
    has_failed: bool,
}

impl<'q> Heard<'q> {
    pub(super) const fn new(question: &'q Question) -> Self {
        Self { question, window: heapless::Vec::new(), n_bytes: 0, is_spoilt: false, has_failed: false }
    }

    /// Takes the next byte; gives what the device has said with it.
    ///
    /// # Errors
    /// [`FrameError::Exception`], and [`FrameError::Crc`] where that was the answer and it is spoilt.
    pub(super) fn take(&mut self, byte: u8) -> Option<Result<Words, FrameError>> {
        let len = self.question.full_len();
        if self.window.len() >= len {
            self.window.remove(0);
        }
        // Room was made, and the longest answer fits.
        let _full = self.window.push(byte);
        self.n_bytes = self.n_bytes.saturating_add(1);
        if self.window.len() == len {
            match self.question.decode(&self.window) {
                Ok(words) => return Some(Ok(words)),
                Err(FrameError::Crc) if self.question.begins(&self.window) => {
                    self.is_spoilt = true;
                    return Some(Err(FrameError::Crc));
                }
                Err(_) => {}
            }
        }
        let tail = self.window.get(self.window.len().checked_sub(EXCEPTION_LEN)?..)?;
        match self.question.decode(tail) {
            Err(error @ FrameError::Exception(_)) => Some(Err(error)),
            Ok(_) | Err(_) => None,
        }
    }

    /// The port failed to give a byte.
    pub(super) const fn fail(&mut self) {
        self.has_failed = true;
    }

    /// Whether more has come than any answer has.
    pub(super) const fn is_babble(&self) -> bool {
        self.n_bytes > ANSWER_LEN_MAX
    }

    /// What it is that was heard when nothing more is waited for.
    pub(super) const fn nothing(&self) -> LineError {
        if self.is_spoilt {
            LineError::Frame(FrameError::Crc)
        } else if self.n_bytes >= EXCEPTION_LEN {
            LineError::Frame(FrameError::Shape)
        } else if self.has_failed {
            LineError::Port
        } else {
            LineError::Silent
        }
    }
}
