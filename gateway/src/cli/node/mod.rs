//! `giot node`: the registry of devices, also while the gateway runs; their setting up over a cable and over the air.

use super::{DataFolder, UsageError, format_time, say};
use crate::clock::Clock;
use crate::hub::change::{self, Change};
use crate::hub::news::{self, News};
use crate::hub::registry::{Device, DeviceKind};
use crate::hub::turn::{self, Turn};
use anyhow::Context;
use giot_firmware::console::to_code;
use giot_shared::ids::NodeId;
use giot_shared::time::UnixMs;
use giot_shared::wire::{KEY_LEN, NodeKey, SALT_LEN, broker_password};
use giot_store::{Reader, register_device};
use qrcode::render::unicode::Dense1x2;

mod provision;
mod set;

/// Add, list and set up nodes and other devices
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Add(AddArgs),
    List(ListArgs),
    Provision(provision::Args),
    Set(set::Args),
}

/// Register a device and print the credentials to put into it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot node add n01 --label \"Lô mận 1, đầu dò\"
  giot node add met-1 --kind station          a node with a battery-backed clock of its own
  giot node add lora-bridge --kind json       any device that publishes flat JSON

The key is printed once and never again, in three forms: as it is, as a one-time code for `giot node provision` or the
node's console, and as a picture of that code. At its first contact a node is given another key, which is shown nowhere; from then on
what was printed means nothing, and `giot node provision --node ID` sets the node up anew. Until then, and with --keep-key, behind an
external broker or for a json device for ever, whoever has seen it can be this node. MQTT: user = the id, password = as printed, topics
giot/v1/ID/up, /down, /status, /json. A running gateway knows the device at its first login.")]
pub(super) struct AddArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Its id: a-z, 0-9, '-', '_', at most 32
    id: NodeId,
    /// What people call it
    #[arg(long, default_value = "")]
    label: String,
    /// node, station (node with a clock of its own) or json
    #[arg(long, default_value = "node", value_parser = parse_kind)]
    kind: DeviceKind,
    /// The printed key stays the node's: for devices that cannot take another one
    #[arg(long)]
    keep_key: bool,
    /// Print no picture of the code
    #[arg(long)]
    no_qr: bool,
}

/// List the registered devices
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot node list
  giot node list --data /var/lib/giot")]
pub(super) struct ListArgs {
    #[command(flatten)]
    data: DataFolder,
}

fn parse_kind(text: &str) -> Result<DeviceKind, String> {
    DeviceKind::from_code(text).ok_or_else(|| "one of node, station, json".to_owned())
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Add(args) => add(args),
        Command::List(args) => list(args),
        Command::Provision(args) => provision::run(args),
        Command::Set(args) => set::run(args),
    }
}

fn add(args: &AddArgs) -> anyhow::Result<()> {
    let device = new_device(args.kind, &args.label, Clock::system(None).wall_us_unchecked())?;
    let turn = (device.kind != DeviceKind::Json && !args.keep_key).then(new_turn).transpose()?;
    let memory = turn.map(|turn| (turn::row(&args.id), turn.to_json()));
    let is_new = register_device(&args.data.data, &device.to_row(&args.id), memory.as_ref());
    let is_new = is_new.context("add the device")?;
    if !is_new {
        return Err(UsageError(format!("{}: a device with this id is registered already", args.id)).into());
    }
    let password = broker_password(&device.key);
    say(&format!(
        "id        {}\nkind      {}\nkey       {}\nuser      {}\npassword  {}",
        args.id,
        device.kind.code(),
        crate::hex(&device.key.0),
        args.id,
        String::from_utf8_lossy(&password)
    ))?;
    if device.kind == DeviceKind::Json {
        return Ok(());
    }
    let code = to_code(&args.id, &device.key).context("make a code of id and key")?;
    say(&format!("code      {code}"))?;
    if args.no_qr { Ok(()) } else { say(&picture(&code)?) }
}

/// A code as blocks of text, dark on light whatever the terminal's colours: two rows of the picture in one line.
fn picture(code: &str) -> anyhow::Result<String> {
    let qr =
        qrcode::QrCode::with_error_correction_level(code, qrcode::EcLevel::L).context("draw the code")?;
    Ok(qr.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let reader = Reader::open(&args.data.data)?;
    let rows = reader.devices()?;
    if rows.is_empty() {
        return say("no device is registered: giot node add ID");
    }
    let last = reader.last_values(None)?;
    let changes = reader.memory()?;
    let news = news::from_rows(&changes);
    let now = Clock::system(None).wall_unchecked();
    let width = rows.iter().map(|row| row.id.len()).max().unwrap_or(0).max(2);
    say(&format!(
        "{:width$}  {:8}  {:27}  {:28}  {:40}  label",
        "id", "kind", "last reading (UTC)", "settings", "last restart (UTC)"
    ))?;
    for row in rows {
        let newest = last.iter().filter(|value| value.device == row.id).map(|value| value.sample.at_us).max();
        let newest = newest.map_or_else(|| "never".to_owned(), format_time);
        let id: NodeId = row.id.parse()?;
        let change = changes.get(&change::row(&id)).and_then(|json| Change::from_json(json));
        let settings = change.map_or_else(|| "-".to_owned(), |change| set::in_words(&change));
        let news = news.get(&id);
        let restart = news.and_then(restart_in_words).unwrap_or_else(|| "-".to_owned());
        say(&format!(
            "{:width$}  {:8}  {newest:27}  {settings:28}  {restart:40}  {}",
            row.id, row.kind, row.label
        ))?;
        for warning in news.into_iter().flat_map(|news| warnings(news, now)) {
            say(&format!("{:width$}  {warning}", ""))?;
        }
    }
    Ok(())
}

/// When a node began anew, and why.
fn restart_in_words(news: &News) -> Option<String> {
    let news::Restart { cause, at, .. } = news.restart?;
    Some(format!("{} {}", format_time(at.0.saturating_mul(1000)), cause.code()))
}

/// What somebody should look at because of what a node told of itself: restarts of the last day, readings lost in the last week.
pub(super) fn warnings(news: &News, now: UnixMs) -> Vec<String> {
    let time = |at: UnixMs| format_time(at.0.saturating_mul(1000));
    let mut warnings = Vec::new();
    if news.is_restless(now) {
        let last = restart_in_words(news).unwrap_or_default();
        let n = news.n_failed(now);
        warnings.push(format!(
            "{n} restarts within a day because something failed, the last {last}: look at its supply"
        ));
    }
    if let Some(news::Loss { n_records, from, to }) =
        news.loss.filter(|loss| now.since_ms(loss.to) < LOSS_TOLD_MS)
    {
        let (from, to, n_lost) = (time(from), time(to), news.n_lost);
        warnings.push(format!(
            "its memory was full: {n_records} readings between {from} and {to} are lost ({n_lost} in all)"
        ));
    }
    warnings
}

/// So long a loss of readings is a warning: a week.
const LOSS_TOLD_MS: u64 = 7 * 86_400_000;

/// The way of a fresh device to a key that nobody has seen.
fn new_turn() -> anyhow::Result<Turn> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("make a salt: {error}"))?;
    Ok(Turn::Due { salt })
}

/// A device with a fresh key.
///
/// # Errors
/// When the operating system gives no randomness.
pub(crate) fn new_device(kind: DeviceKind, label: &str, created_us: i64) -> anyhow::Result<Device> {
    let mut key = [0; KEY_LEN];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("make a key: {error}"))?;
    Ok(Device { kind, label: label.to_owned(), key: NodeKey(key), created_us })
}
