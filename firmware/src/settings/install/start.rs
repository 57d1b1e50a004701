//! How a boot begins: as the node that a person set up, without one, or once more.
//!
//! What a board cannot run, because it lacks a valve's outputs or a network's name, ends in a boot without a node that waits for a
//! person with a cable. Settings from over the air must never lead there, because nobody is near: they are given back first, and the
//! boot that follows runs by those before them. So a change over the air can cost a node no more than two boots.

use super::{InstallError, Installation, Setup};
use core::fmt;
use embedded_storage_async::nor_flash::MultiwriteNorFlash;

/// What a boot is for.
#[derive(Clone, Debug)]
pub enum Start<T> {
    /// The node runs by this; beside it what the board has made of it.
    Node(Installation, T),
    /// No node runs: a person at the console is waited for. `None`: what was set up cannot be read.
    Person(Option<Installation>, NoNode),
    /// This board cannot run by the settings on trial, for this reason. They are given back, and nothing has moved: start again.
    Again(&'static str),
}

/// Why no node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoNode {
    /// Somebody wanted it so.
    Asked,
    /// What was set up cannot be read, or nothing was.
    Install(InstallError),
    /// This board cannot run by what a person set up.
    Unfit(&'static str),
}

impl fmt::Display for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("no node: setup was asked for"),
            Self::Install(error) => error.fmt(f),
            Self::Unfit(why) => f.write_str(why),
        }
    }
}

impl<F: MultiwriteNorFlash> Setup<F> {
    /// Begins a boot. `fit` makes of the settings what the board needs to run by them, or says what it lacks, and moves nothing.
    pub async fn start<T>(
        &mut self,
        for_setup: bool,
        fit: impl FnOnce(&Installation) -> Result<T, &'static str>,
    ) -> Start<T> {
        let made = match self.boot().await {
            Ok(made) => made,
            Err(error) => return Start::Person(None, NoNode::Install(error)),
        };
        if for_setup {
            return Start::Person(Some(made), NoNode::Asked);
        }
        match fit(&made) {
            Ok(parts) => Start::Node(made, parts),
            Err(why) if self.give_back().await => Start::Again(why),
            Err(why) => Start::Person(Some(made), NoNode::Unfit(why)),
        }
    }
}
