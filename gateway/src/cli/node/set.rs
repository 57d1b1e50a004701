//! `giot node set`: settings over the air, through the running gateway.

use crate::api::{check_node_settings, client};
use crate::cli::{DataFolder, UsageError, format_time, read_file, say};
use crate::clock::monotonic;
use crate::hub::change::Change;
use anyhow::Context;
use giot_shared::ids::NodeId;
use giot_shared::wire::SETTINGS_LEN_MAX;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// How often the gateway is asked what became of it.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Change a node's settings over the air
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot node set n01 health_s=900
  giot node set n01 probe.0=soil_moisture,modbus:1:A,300,60,0 --wait
  giot node set n01 broker=192.168.1.9:1883 --within 300

The order is signed. The node restarts with the new settings and keeps them when it reaches this gateway with them in time;
else, or when it is reset before, it goes back to what it had, and says so. It takes none while a valve is open: they are
said again when it closes, and at each of its connections until it has answered. `giot node list` shows what became of them.
While earlier ones have no answer others are refused, unless --replace is said.
id and key are changed at the node's own console (giot node provision). Words: broker prefix network wifi_ssid
wifi_password baud parity meter supply battery sleep health_s probe_warm_ms valve.N probe.N curve.N.
Reads DIR/admin-secret, so it runs where the gateway runs. Exit codes: 0 sent (with --wait: kept by the node), 1 failed or given back, 2 wrong usage.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Which node
    node: NodeId,
    /// What is to change
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Seconds in which the node must be back with them
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(20..=3600))]
    within: u32,
    /// Let these take the place of earlier settings that the node has not answered yet
    #[arg(long)]
    replace: bool,
    /// Wait until the node keeps them or has gone back
    #[arg(long)]
    wait: bool,
    /// Address of the gateway's page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let text = args.settings.join("\n");
    check_node_settings(&text).map_err(UsageError)?;
    if text.len() > SETTINGS_LEN_MAX {
        let what = format!(
            "settings take {} bytes, one order carries {SETTINGS_LEN_MAX}: send them in parts",
            text.len()
        );
        return Err(UsageError(what).into());
    }
    let secret = read_file(&args.data.data.join(crate::SECRET_FILE))?;
    let client = client::Client::sign_in(args.http, secret.trim()).with_context(|| {
        format!("reach the gateway at {}: is `giot serve` running there? (--http)", args.http)
    })?;
    let path = format!("/api/v1/nodes/{}/settings", args.node);
    let order = json!({ "settings": text, "within_seconds": args.within, "replace": args.replace });
    client.post(&path, &order).map_err(|error| match error.downcast_ref::<client::Refusal>() {
        Some(refusal) if refusal.answer.get("code").is_some_and(|code| code == "settings_under_way") => {
            error.context("not sent; --replace sends them in place of those")
        }
        _ => error,
    })?;
    if !args.wait {
        return say(&format!("sent; `giot node list` shows what becomes of it within {} s", args.within));
    }
    // Its own restart and the way back come on top.
    let limit = Duration::from_secs(u64::from(args.within) + 120);
    let began = monotonic();
    let mut ours = None;
    loop {
        let now = client.get(&path)?;
        let word =
            |key: &str| now.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        if *ours.get_or_insert_with(|| word("command")) != word("command") {
            anyhow::bail!("{}: other settings ({}) have taken the place of these", args.node, word("words"));
        }
        match word("state").as_str() {
            "confirmed" => return say(&format!("{} keeps them", args.node)),
            state @ ("refused" | "given_back") => {
                anyhow::bail!("{}: {}", args.node, sentence(state, &word("why")))
            }
            _ if began.elapsed() > limit => {
                anyhow::bail!(
                    "{}: no word within {} s: it may be away; it gets them when it comes",
                    args.node,
                    limit.as_secs()
                )
            }
            _ => std::thread::sleep(ASK_EVERY),
        }
    }
}

/// Where a node's last settings are, for a list.
pub(super) fn in_words(change: &Change) -> String {
    let (state, why) = change.state.code();
    let at = format_time(change.at.0.saturating_mul(1000));
    let day = at.get(..16).unwrap_or(&at);
    match why {
        Some(why) => format!("{state} ({why}) {day}"),
        None => format!("{state} {day}"),
    }
}

fn sentence(state: &str, why: &str) -> String {
    match (state, why) {
        ("refused", "bad_setting") => "the node knows no such setting, or cannot use the value".to_owned(),
        ("refused", "unsupported") => "this node cannot be set over the air".to_owned(),
        ("refused", why) => format!("the node refused them: {why}"),
        (_, "unreachable") => {
            "the node did not reach the gateway with them and went back to what it had".to_owned()
        }
        (_, "reset") => {
            "the node was reset before it reached the gateway and went back to what it had".to_owned()
        }
        (_, "unknown") => {
            "the node took them and has nothing to tell of them: somebody set it up anew, or a newer node has a reason that \
             this version does not know"
                .to_owned()
        }
        (_, "not_kept") => {
            "the node's board cannot run by them (a valve or network that it has not), or its memory could not take them: it \
             went back to what it had"
                .to_owned()
        }
        (_, why) => format!("the node went back to what it had: {why}"),
    }
}
