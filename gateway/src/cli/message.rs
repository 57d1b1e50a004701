//! `giot message`: what goes to people's phones, tried and looked at.

use std::path::PathBuf;

use super::{DataFolder, UsageError, runtime, say};
use crate::config::MessagePlan;
use crate::messages::letter::Letter;
use crate::messages::place_key;
use crate::messages::post::Post;
use crate::sinks::sender::text_of;
use crate::sinks::verdict::{Answer, Verdict};
use crate::words::Words;
use giot_store::{DiaryFilter, Reader};

/// Try the messages that go to people's phones, and see what was told
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Test(TestArgs),
    Status(StatusArgs),
}

/// Send a message that says that messages arrive
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot message test --config farm.toml
  giot message test to-nuoc

Exit code 1 when one is not taken.")]
pub(super) struct TestArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Configuration; without it the farm that the data folder holds
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only this message
    name: Option<String>,
}

/// Say up to where in the diary each message has told
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot message status
  giot message status --data /var/lib/giot

Works while the gateway runs; why something does not arrive is in its log.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Configuration; without it the farm that the data folder holds
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Test(args) => test(args),
        Command::Status(args) => status(args),
    }
}

fn test(args: &TestArgs) -> anyhow::Result<()> {
    let settings = super::serve::settings(args.config.as_deref(), &args.data.data)?;
    let is_meant = |plan: &&MessagePlan| args.name.as_ref().is_none_or(|name| *name == plan.name);
    let wanted: Vec<&MessagePlan> = settings.messages.iter().filter(is_meant).collect();
    if wanted.is_empty() {
        let name = args.name.as_deref().unwrap_or_default();
        return Err(UsageError(format!("the farm has no [[message]] {name}")).into());
    }
    let words = Words::default();
    let mut n_bad = 0;
    for plan in wanted {
        let post = Post::open(plan)?;
        let answer = runtime()?.block_on(post.send(&Letter::trial(plan.lang, &words, &settings)));
        let what = text_of(&answer);
        let verdict = Verdict::of_any(&answer);
        if verdict == Verdict::Taken {
            say(&format!("ok    {} takes messages ({what})", plan.name))?;
        } else {
            n_bad += 1;
            say(&format!("BAD   {}: {what}: {}", plan.name, advice(verdict, &answer)))?;
        }
    }
    anyhow::ensure!(n_bad == 0, "{n_bad} message(s) not taken");
    Ok(())
}

/// What a person can do.
fn advice(verdict: Verdict, answer: &Answer) -> &'static str {
    match (verdict, answer) {
        (Verdict::Taken | Verdict::Outdated, _) => "nothing is to do",
        (_, Answer::None(_)) => "check the address, and this machine's way to it",
        (Verdict::Forbidden, _) => "check token or token_file",
        (Verdict::Unknown, _) => "check the path of the address",
        (Verdict::Busy, Answer::Status(300..=399, _)) => {
            "it points elsewhere: write the address that it points to"
        }
        (Verdict::Busy | Verdict::Away, _) => "try again later",
        (Verdict::BadLine | Verdict::TooLarge | Verdict::NoCompression, _) => {
            "check format and fields: what does the service expect?"
        }
    }
}

fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let settings = super::serve::settings(args.config.as_deref(), &args.data.data)?;
    if settings.messages.is_empty() {
        return say("the farm has no messages: a [[message]] in the configuration, then giot serve");
    }
    let reader = Reader::open(&args.data.data)?;
    for plan in &settings.messages {
        say(&describe(&reader, &plan.name)?)?;
    }
    Ok(())
}

/// A message in a few words.
pub(super) fn describe(reader: &Reader, name: &str) -> anyhow::Result<String> {
    let head = reader.diary(&DiaryFilter { limit: 1, ..DiaryFilter::default() })?;
    let newest = head.first().map_or(0, |row| row.id);
    let place: Option<i64> = reader.meta(&place_key(name))?.and_then(|place| place.parse().ok());
    Ok(match place {
        Some(place) => format!("message {name}: told up to entry {place} of the diary's {newest}"),
        None => format!("message {name}: not started yet"),
    })
}
