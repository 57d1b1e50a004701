//! `key_salt=SALT,CHECK`: a new key over the air. The first one was on paper and on screens; this one is never sent.
//!
//! Both sides make it from the key they have and the salt ([`next_key`]). CHECK tells the new key from others
//! ([`digest`]), so that the line can be merged any number of times: a node that has the key already keeps it, and one
//! with yet another key takes nothing.

use super::words::{WordError, bytes_of};
use crate::console::{DIGEST_LEN, digest};
use giot_shared::wire::{NodeKey, SALT_LEN, next_key};

/// The word of the line.
pub const WORD: &str = "key_salt";
/// Length of the line, bytes.
pub const LINE_LEN: usize = WORD.len() + 1 + 2 * SALT_LEN + 1 + DIGEST_LEN;

/// The line that turns `key` into the next one.
#[must_use]
pub fn line(key: &NodeKey, salt: &[u8; SALT_LEN]) -> heapless::String<LINE_LEN> {
    let mut line = heapless::String::new();
    // All of it fits.
    let _full = line.push_str(WORD).and_then(|()| line.push('='));
    for byte in salt {
        let _full = core::fmt::Write::write_fmt(&mut line, format_args!("{byte:02x}"));
    }
    let _full = line.push(',').and_then(|()| line.push_str(&digest(&next_key(key, salt))));
    line
}

/// The key that a node with `key` has after the line of this value.
///
/// # Errors
/// [`WordError::Value`] when it is no such value, or was made for another key.
pub(super) fn turned(key: &NodeKey, value: &str) -> Result<NodeKey, WordError> {
    const FORM: WordError =
        WordError::Value("32 hexadecimal digits and a check, for the key that the node has");
    let (salt, check) = value.split_once(',').ok_or(FORM)?;
    let salt = bytes_of::<SALT_LEN>(salt).ok_or(FORM)?;
    if digest(key) == check {
        return Ok(key.clone());
    }
    Some(next_key(key, &salt)).filter(|next| digest(next) == check).ok_or(FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: NodeKey = NodeKey([7; 32]);
    const SALT: [u8; SALT_LEN] = [9; SALT_LEN];

    fn value(line: &str) -> &str {
        line.split_once('=').expect("a line").1
    }

    #[test]
    fn a_key_turns_once_however_often_the_line_is_merged() {
        let line = line(&KEY, &SALT);
        assert_eq!(line.len(), LINE_LEN);
        let next = turned(&KEY, value(&line)).expect("made for this key");
        assert_eq!(next, next_key(&KEY, &SALT));
        assert_eq!(turned(&next, value(&line)), Ok(next));
    }

    #[test]
    fn a_line_for_another_key_or_with_a_slip_changes_nothing() {
        let line = line(&KEY, &SALT);
        assert!(turned(&NodeKey([8; 32]), value(&line)).is_err());
        for place in 0..value(&line).len() {
            let mut slip = value(&line).as_bytes().to_vec();
            slip[place] = if slip[place] == b'0' { b'1' } else { b'0' };
            let slip = core::str::from_utf8(&slip).expect("digits");
            assert!(turned(&KEY, slip).is_err(), "{slip}");
            assert!(turned(&KEY, value(&line).get(..place).expect("digits")).is_err());
        }
    }
}
