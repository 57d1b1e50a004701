//! How a boot begins: as the node that a person set up, without one, or once more.
//!
//! What a board cannot run, because it lacks a valve's outputs or a network's name, ends in a boot without a node that waits for a
//! person with a cable. Settings from over the air must never lead there, because nobody is near: they are given back first, and the
//! boot that follows runs by those before them. So a change over the air can cost a node no more than two boots.

use super::{InstallError, Installation, Setup};
use crate::run::{Held, Partitions, held};
use core::fmt;
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use giot_shared::ids::NodeId;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoNode {
    /// Somebody wanted it so.
    Asked,
    /// What was set up cannot be read, or nothing was.
    Install(InstallError),
    /// This board cannot run by what a person set up.
    Unfit(&'static str),
    /// These records of another id wait, and nobody gave them up.
    Held(Held),
}

impl fmt::Display for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("no node: setup was asked for"),
            Self::Install(error) => error.fmt(f),
            Self::Unfit(why) => f.write_str(why),
            Self::Held(Held { owner, n_waiting }) => {
                let owner = owner.as_ref().map_or("another id", NodeId::as_str);
                write!(
                    f,
                    "{n_waiting} records of {owner} wait: be {owner} again, with its key, until its gateway has them, or `commit give-up`"
                )
            }
        }
    }
}

impl<F: MultiwriteNorFlash> Setup<F> {
    /// Begins a boot. `flash` has what waits for the gateway. `fit` makes of the settings what the board needs to run by them, or says
    /// what it lacks, and moves nothing.
    pub async fn start<T>(
        &mut self,
        for_setup: bool,
        flash: Partitions<F>,
        fit: impl FnOnce(&Installation) -> Result<T, &'static str>,
    ) -> Start<T> {
        let made = match self.boot().await {
            Ok(made) => made,
            Err(error) => return Start::Person(None, NoNode::Install(error)),
        };
        if for_setup {
            return Start::Person(Some(made), NoNode::Asked);
        }
        let parts = match fit(&made) {
            Ok(parts) => parts,
            Err(why) if self.give_back().await => return Start::Again(why),
            Err(why) => return Start::Person(Some(made), NoNode::Unfit(why)),
        };
        let held = held(flash, Some(&made.config.id)).await;
        if held.n_waiting > 0 && self.given_up().await != held.owner {
            return Start::Person(Some(made), NoNode::Held(held));
        }
        Start::Node(made, parts)
    }
}
