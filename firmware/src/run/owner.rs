//! Records belong to the id under which they were made: a node that was given another one sends none of them.
//!
//! Whoever gives a node another id at its console is told how many records wait, and has to say that they are given up
//! ([`crate::console`]). A boot under another id that finds records which nobody gave up, as those that were made since, is one without a
//! node ([`crate::settings::NoNode::Held`]). Where they were given up, it begins with an empty outbox, and counts them among what was
//! lost. The id is written last, so that a power cut in between has the next boot do it again; the epoch rises first, and is not used by two ids.

use super::{Partitions, RunError, begin_epoch};
use crate::outbox::{Outbox, OutboxError};
use crate::settings::Settings;
use crate::sleep::Woken;
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use giot_shared::ids::NodeId;

/// Records that wait for a gateway, with the ends of runs that a reset cut: the next boot of their node makes those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Under which id they were made; `None` where nobody knows.
    pub owner: Option<NodeId>,
    /// How many.
    pub n_waiting: u32,
}

/// Looks whose records wait; it does not count those of `unless`. Partitions that carry no node hold none.
pub async fn held<F: MultiwriteNorFlash>(flash: Partitions<F>, unless: Option<&NodeId>) -> Held {
    let Ok(mut settings) = Settings::open(flash.settings) else { return Held::default() };
    let owner = settings.owner().await;
    if unless.is_some_and(|id| owner.as_ref().is_none_or(|owner| owner == id)) {
        return Held { owner, n_waiting: 0 };
    }
    let outbox = Outbox::open(flash.readings, flash.events, settings.lost_tails().await).await;
    let Ok(mut outbox) = outbox else { return Held { owner, n_waiting: 0 } };
    let n_cut = cut_runs(&mut settings, &mut outbox).await.map_or(0, |(_, n_cut)| n_cut);
    Held { owner, n_waiting: outbox.level().waiting.saturating_add(n_cut) }
}

/// The highest command counter taken, and how many runs were cut whose end is not in flash.
async fn cut_runs<F: MultiwriteNorFlash>(
    settings: &mut Settings<F>,
    outbox: &mut Outbox<F>,
) -> Result<(u64, u32), OutboxError> {
    let mut kept = settings.kept().await;
    outbox.drop_told(&mut kept).await?;
    Ok((kept.counter, u32::try_from(kept.running.len()).unwrap_or(u32::MAX)))
}

/// Begins counting records, after those of another id were given up. Gives the epoch.
pub(super) async fn begin<F: MultiwriteNorFlash>(
    settings: &mut Settings<F>,
    outbox: &mut Outbox<F>,
    id: &NodeId,
    woken: Option<&Woken>,
) -> Result<u32, RunError> {
    let owner = settings.owner().await;
    let is_strange = owner.as_ref().is_some_and(|owner| owner != id);
    let epoch = begin_epoch(settings, outbox, woken.filter(|_| !is_strange)).await?;
    if is_strange {
        let (counter, n_cut) = cut_runs(settings, outbox).await?;
        outbox.give_up(n_cut).await?;
        settings.forget_owner(counter).await?;
    }
    if owner.as_ref() != Some(id) {
        settings.store_owner(id).await?;
    }
    Ok(epoch)
}
