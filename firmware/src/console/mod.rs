//! The commands of a node's serial console: how a person, or `giot node provision`, tells it what it is.
//!
//! A core without I/O: bytes go in ([`Console::handle_byte`]), lines of reply come out one by one through a closure, and
//! what the board must do is the answer ([`Outcome`]). Everything is bounded; nothing that arrives here moves a valve.
//!
//! | command | does |
//! |---|---|
//! | `help` | lists the commands |
//! | `show` | tells every setting but secrets, a digest of the key, and whether the node runs: `runs yes`, or `runs no: WHY` |
//! | `set WORD VALUE` | changes one setting of the draft; words as in [`crate::settings::words`] |
//! | `wifi SSID PASSWORD` | both at once; an SSID with spaces needs `set wifi_ssid` |
//! | `broker ADDRESS:PORT`, `node ID`, `key HEX` | `set` of that word |
//! | `code CODE` | id and key at once, from `giot node add` |
//! | `scan [BAUD] [PARITY] [FIRST-LAST]` | asks the RS485 line who is there, at every usual speed or at one, without parity or with `even` or
//! `odd`, at the usual addresses 1-10 or others up to 247; only while no node runs; Ctrl-C or a line ends it, and such a line is no command |
//! | `commit` | writes the draft; the node runs by it after a reboot; refused while settings from over the air are on trial, and with
//! another id while records wait that were made under the earlier one; those made since keep its node from running ([`NoNode::Held`]) |
//! | `commit give-up` | the same, and gives up those records; the answer says how many |
//! | `reboot` | starts again |
//! | `setup` | starts again without the node, for `scan`; half an hour after the last word it starts with the node |
//! | `factory-reset yes` | forgets what was set up, but not during such a trial; records that wait stay for a node of the same id, and counters stay |
//!
//! Replies begin with `=`, so that they can be told from log lines on the same port. Each command ends with one line
//! `=ok …` or `=error …`.

mod bench;
mod code;
mod desk;
mod serve;

pub use bench::{Bench, Ending, attend, close_and_rest, rest};
pub use code::{CODE_LEN_MAX, CodeError, from_code, to_code};
pub use desk::Desk;
pub use serve::{Ended, serve, tell_scan};

use crate::probe::modbus::Scan;
use crate::settings::words::{self, WordError};
use crate::settings::{InstallError, Installation, NoNode};
use core::fmt;
use giot_shared::ids::NodeId;
use giot_shared::wire::{KEY_LEN, NodeKey, broker_password};

/// Longest line, bytes: the longest word, a password of 63 bytes in UTF-8, or a curve of eight points.
pub const LINE_LEN_MAX: usize = 160;
/// What a draft is called until a person has named the node.
const NAMELESS: &str = "node";
/// Where no broker was set.
const NO_BROKER: &str = "0.0.0.0:0";
/// What a key's digest shows of it, hexadecimal digits.
pub const DIGEST_LEN: usize = 8;

/// What the board must do after a line; the reply is complete except where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Done,
    /// Write [`Console::draft`] to its partition, then tell [`Console::committed`].
    Commit {
        /// Also where records of an earlier id are lost by it.
        gives_up: bool,
    },
    /// Ask the RS485 line who is there and tell what is found, then [`Console::end`].
    Scan(Scan),
    /// Start again.
    Reboot,
    /// Start again without the node.
    Setup,
    /// Erase the partition of what was set up, then tell [`Console::end`] and start again.
    FactoryReset,
}

/// The console of one node.
#[derive(Debug)]
pub struct Console {
    line: heapless::Vec<u8, LINE_LEN_MAX>,
    is_overlong: bool,
    draft: Installation,
    has_node: bool,
    has_key: bool,
    has_broker: bool,
    runs: Option<Result<(), NoNode>>,
    /// The id under which records were made.
    owner: Option<NodeId>,
    /// Another id, where one was written here.
    written: Option<NodeId>,
}

impl Console {
    /// A console whose draft is what the node was set up as, or nothing; never `None`, as the placeholders of an empty
    /// draft are valid.
    #[must_use]
    pub fn new(installed: Option<Installation>) -> Option<Self> {
        let owner = installed.as_ref().map(|installed| installed.config.id.clone());
        let draft = match installed {
            Some(installed) => installed,
            None => Installation::new(NAMELESS.parse().ok()?, NodeKey([0; KEY_LEN]), NO_BROKER)?,
        };
        Some(Self {
            line: heapless::Vec::new(),
            is_overlong: false,
            draft,
            has_node: owner.is_some(),
            has_key: owner.is_some(),
            has_broker: owner.is_some(),
            runs: None,
            owner,
            written: None,
        })
    }

    /// The same, which says whether the node runs, or why not.
    #[must_use]
    pub fn beside(self, node: Result<(), NoNode>) -> Self {
        Self { runs: Some(node), ..self }
    }

    /// The same of a board whose records were made under this id, whatever it is set up as.
    #[must_use]
    pub fn owned_by(self, owner: Option<NodeId>) -> Self {
        Self { owner: owner.or(self.owner), ..self }
    }

    /// Whether a trial can go on: where nothing can be read of what was set up, none ever ends.
    const fn may_try(&self) -> bool {
        !matches!(self.runs, Some(Err(NoNode::Install(_))))
    }

    /// The id whose records the draft's node would not send.
    fn stranger(&self) -> Option<&NodeId> {
        self.owner.as_ref().filter(|owner| **owner != self.draft.config.id)
    }

    /// One byte came. A line that is complete is carried out; `say` gets each line of the reply.
    ///
    /// # Errors
    /// What `say` gives.
    pub fn handle_byte<E>(
        &mut self,
        byte: u8,
        say: &mut impl FnMut(fmt::Arguments<'_>) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        match byte {
            b'\r' | b'\n' => {
                let line = core::mem::take(&mut self.line);
                if core::mem::take(&mut self.is_overlong) {
                    say(format_args!("=error the line is longer than {LINE_LEN_MAX} bytes"))?;
                    return Ok(Outcome::Done);
                }
                match core::str::from_utf8(&line) {
                    Ok(line) => self.handle_line(line.trim(), say),
                    Err(_) => {
                        say(format_args!("=error the line is no UTF-8 text"))?;
                        Ok(Outcome::Done)
                    }
                }
            }
            // Backspace of either kind: for people who type.
            0x08 | 0x7f => {
                self.line.pop();
                Ok(Outcome::Done)
            }
            // What an escape or a half-typed key leaves.
            0..0x20 => Ok(Outcome::Done),
            _ => {
                self.is_overlong |= self.line.push(byte).is_err();
                Ok(Outcome::Done)
            }
        }
    }

    /// What `commit` writes.
    #[must_use]
    pub const fn draft(&self) -> &Installation {
        &self.draft
    }

    /// Ends the reply to `commit`.
    ///
    /// # Errors
    /// What `say` gives.
    pub fn committed<E>(
        &mut self,
        result: Result<(), InstallError>,
        say: &mut impl FnMut(fmt::Arguments<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match result {
            Ok(()) => {
                self.written = self.stranger().map(|_| self.draft.config.id.clone());
                say(format_args!("=ok written: `reboot` to run by it"))
            }
            Err(error) => say(format_args!("=error not written: {error}")),
        }
    }

    /// Ends a reply that the board completes.
    ///
    /// # Errors
    /// What `say` gives.
    pub fn end<E>(
        result: Result<(), &dyn fmt::Display>,
        say: &mut impl FnMut(fmt::Arguments<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match result {
            Ok(()) => say(format_args!("=ok")),
            Err(why) => say(format_args!("=error {why}")),
        }
    }

    fn handle_line<E>(
        &mut self,
        line: &str,
        say: &mut impl FnMut(fmt::Arguments<'_>) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        let result = match command {
            "" => return Ok(Outcome::Done),
            "help" => {
                HELP.iter().try_for_each(|line| say(format_args!("= {line}")))?;
                Ok(())
            }
            "show" => {
                self.show(say)?;
                Ok(())
            }
            "set" => match rest.split_once(' ') {
                Some((word, value)) => self.set(word, value.trim()),
                // An empty value takes a text away.
                None if !rest.is_empty() => self.set(rest, ""),
                None => Err(WordError::Value("there: set WORD VALUE")),
            },
            "node" | "key" | "broker" => self.set(command, rest),
            "wifi" => {
                let (ssid, password) = rest.split_once(' ').unwrap_or((rest, ""));
                self.set("wifi_ssid", ssid).and_then(|()| match ssid {
                    "" => Ok(()),
                    _ => self.set("wifi_password", password.trim()),
                })
            }
            "code" => return self.take_code(rest, say),
            "scan" => match words::scan_of(rest) {
                Ok(wanted) => return Ok(Outcome::Scan(wanted)),
                Err(error) => Err(error),
            },
            "commit" if matches!(rest, "" | "give-up") => return self.commit(!rest.is_empty(), say),
            "reboot" => {
                say(format_args!("=ok starting again"))?;
                return Ok(Outcome::Reboot);
            }
            "setup" => {
                say(format_args!("=ok starting again without the node"))?;
                return Ok(Outcome::Setup);
            }
            "factory-reset" if rest == "yes" => return Ok(Outcome::FactoryReset),
            "factory-reset" => {
                say(format_args!("=error this forgets id, key and all settings: say `factory-reset yes`"))?;
                return Ok(Outcome::Done);
            }
            _ => {
                say(format_args!("=error no such command: `help` lists them"))?;
                return Ok(Outcome::Done);
            }
        };
        match result {
            Ok(()) => say(format_args!("=ok"))?,
            Err(error) => say(format_args!("=error {error}"))?,
        }
        Ok(Outcome::Done)
    }

    fn set(&mut self, word: &str, value: &str) -> Result<(), WordError> {
        words::set(&mut self.draft, word, value)?;
        match word {
            "node" => self.has_node = true,
            "key" => self.has_key = true,
            "broker" => self.has_broker = true,
            _ => {}
        }
        Ok(())
    }

    fn take_code<E>(
        &mut self,
        code: &str,
        say: &mut impl FnMut(fmt::Arguments<'_>) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        match from_code(code) {
            Ok((id, key)) => {
                say(format_args!("=ok node {id}"))?;
                (self.draft.config.id, self.draft.config.key) = (id, key);
                (self.has_node, self.has_key) = (true, true);
            }
            Err(error) => say(format_args!("=error {error}"))?,
        }
        Ok(Outcome::Done)
    }

    fn show<E>(&self, say: &mut impl FnMut(fmt::Arguments<'_>) -> Result<(), E>) -> Result<(), E> {
        words::show(&self.draft, |word, value| match word {
            "node" if !self.has_node => Ok(()),
            "broker" if !self.has_broker => Ok(()),
            _ => say(format_args!("=show {word} {value}")),
        })?;
        if self.has_key {
            say(format_args!("=show key_digest {}", digest(&self.draft.config.key)))?;
        }
        match &self.runs {
            Some(Ok(())) => {
                say(format_args!("=show runs yes"))?;
                self.tell_id(say)
            }
            Some(Err(why)) => say(format_args!("=show runs no: {why}")),
            None => Ok(()),
        }
    }

    /// Says of ids that differ which one the node has now, which after a reboot, and which is wanted only.
    fn tell_id<E>(&self, say: &mut impl FnMut(fmt::Arguments<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(owner) = &self.owner else { return Ok(()) };
        if let Some(written) = &self.written {
            say(format_args!("= as {owner} until `reboot`, then as {written}"))?;
        }
        match self.written.as_ref().unwrap_or(owner) {
            stored if *stored == self.draft.config.id => Ok(()),
            _ => say(format_args!("= {} is not written: `commit`", self.draft.config.id)),
        }
    }

    fn commit<E>(
        &self,
        gives_up: bool,
        say: &mut impl FnMut(fmt::Arguments<'_>) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        let missing = [("node", self.has_node), ("key", self.has_key), ("broker", self.has_broker)];
        match missing.into_iter().find(|(_, has)| !has) {
            Some((word, _)) => {
                say(format_args!("=error {word} is not set"))?;
                Ok(Outcome::Done)
            }
            None => Ok(Outcome::Commit { gives_up }),
        }
    }
}

/// Tells one key from another without telling it: the first digits of the broker password that is derived from it.
#[must_use]
pub fn digest(key: &NodeKey) -> heapless::String<DIGEST_LEN> {
    broker_password(key).iter().take(DIGEST_LEN).map(|digit| char::from(*digit)).collect()
}

const HELP: [&str; 17] = [
    "show                       every setting but secrets",
    "code CODE                  id and key, from `giot node add`",
    "node ID | key HEX          the same one by one",
    "broker ADDRESS:PORT        where the gateway's broker is",
    "wifi SSID PASSWORD         for boards with a radio",
    "set WORD VALUE             words: broker prefix network wifi_ssid wifi_password baud parity meter supply",
    "                           battery sleep health_s probe_warm_ms valve.N probe.N curve.N",
    "set valve.0 relay,7200,600",
    "set probe.0 soil_moisture,modbus:1:A,600,60,0",
    "scan                       who is on the RS485 line (after `setup`)",
    "scan 9600 even 1-247       the same at one speed, with a parity, at other addresses than 1-10 (one: 5-5); each may be",
    "                           left out; Ctrl-C or Enter ends it",
    "commit                     write it",
    "commit give-up             the same with another id, and lose what waits under the one before",
    "reboot                     run by it",
    "setup                      start without the node, until half an hour has passed without a word",
    "factory-reset yes          forget it",
];

#[cfg(test)]
mod tests;
