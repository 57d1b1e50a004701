//! `giot reasons`: the table of all reasons that the diary, the page and the API give.

use super::say;
use crate::words::{Words, reasons_table};

/// Print every reason with its code, its words in Vietnamese and English, its numbers, and what to do about it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot reasons > REASONS.md
  giot reasons | grep stale

The table is Markdown. `giot why` says which of them hold for a zone on a day.")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<()> {
    say(reasons_table(&Words::default()).trim_end())
}
