//! Sinks: time-series stores outside that get the history and the irrigation diary, whenever they can be reached.
//!
//! | file | what |
//! |---|---|
//! | `line.rs` | how points are called: measurement, tags, fields |
//! | `verdict.rs` `delivery.rs` `pace.rs` `window.rs` | decisions: what an answer means, halving, pauses, what is safe |
//! | `source.rs` | reading from the store, by its cursor (`store/backlog`) |
//! | `sender.rs` | the loop |
//! | `influx.rs` `heard.rs` `tripwire.rs` | the way out, and how a restart of the other side is noticed |
//!
//! Responsible for: every point there in the end, once (P8); nothing here in memory that grows while a sink is away (P9). Must not
//! slow ingest, and never ends the gateway.

pub mod delivery;
pub mod heard;
pub mod influx;
pub mod line;
pub mod pace;
pub mod sender;
pub mod source;
pub mod tripwire;
pub mod verdict;
pub mod window;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use crate::cli::UsageError;
use crate::clock::Clock;
use crate::config::{Settings, SinkPlan, Token, check_token};
use crate::supervisor::Supervisor;
use giot_store::{Reader, Writer};

use self::influx::{Influx, Target};
use self::line::{Mapping, ProbeLabel};
use self::sender::{Door, Parts, SinkView, Views};
use self::verdict::{Answer, Verdict};

/// What all sinks share.
#[derive(Debug)]
pub struct Around<'s> {
    /// The gateway's settings.
    pub settings: &'s Settings,
    /// To the history.
    pub reader: Reader,
    /// To the cursors.
    pub writer: Writer,
    /// The gateway's time.
    pub clock: Clock,
    /// Turns true when the gateway stops.
    pub stopping: watch::Receiver<bool>,
}

/// Starts a task for each sink of the settings. One whose files cannot be read, or whose URL or certificate cannot be used, says so
/// and gets nothing: a farm is watered all the same.
pub fn start(around: &Around<'_>, tasks: &mut Supervisor) -> Views {
    let mut views = Views::new();
    for plan in &around.settings.sinks {
        let (view, seen) = watch::channel(SinkView::new(plan.name.clone()));
        views.insert(plan.name.clone(), seen);
        let door = match open(plan) {
            Ok(door) => door,
            Err(error) => {
                let detail = format!("{error:#}");
                tracing::error!(
                    sink = plan.name,
                    error = detail,
                    "the sink gets nothing until a start with this mended"
                );
                let since_ms = around.clock.wall_unchecked().0;
                view.send_modify(|view| {
                    (view.state, view.detail, view.since_ms) = (Verdict::Forbidden.word(), detail, since_ms);
                });
                continue;
            }
        };
        let parts = Parts {
            plan: plan.clone(),
            door,
            mapping: Arc::new(mapping(around.settings, plan)),
            reader: around.reader.clone(),
            writer: around.writer.clone(),
            clock: around.clock,
            view,
            stopping: around.stopping.clone(),
        };
        tasks.spawn("sink", sender::run(parts));
    }
    views
}

/// The way to a sink.
///
/// # Errors
/// A file that it needs cannot be read, or its URL or certificate cannot be used.
pub fn open(plan: &SinkPlan) -> anyhow::Result<Influx> {
    let name = &plan.name;
    let token = secret(&plan.token, &format!("sink {name}: token_file"), check_token)?;
    let read = |file: &String| {
        std::fs::read(file).map_err(|error| UsageError(format!("sink {name}: ca_file {file}: {error}")))
    };
    let ca_pem = plan.ca_file.as_ref().map(read).transpose()?;
    let target =
        Target { url: plan.url.clone(), org: plan.org.clone(), bucket: plan.bucket.clone(), token, ca_pem };
    Influx::new(&target).with_context(|| format!("sink {name}"))
}

/// A token or an address, from where the configuration says it is; empty where there is none.
///
/// # Errors
/// Its file cannot be read, or holds something else: `what` names it.
pub(crate) fn secret(
    token: &Token,
    what: &str,
    check: fn(&str) -> Result<(), &'static str>,
) -> Result<String, UsageError> {
    let file = match token {
        Token::None => return Ok(String::new()),
        Token::Text(text) => return Ok(text.clone()),
        Token::File(file) => file,
    };
    let problem = |problem: &dyn std::fmt::Display| UsageError(format!("{what} {file}: {problem}"));
    let bytes = std::fs::read(file).map_err(|error| problem(&error))?;
    let text = String::from_utf8_lossy(&bytes);
    let secret = text.lines().next().unwrap_or_default().trim();
    check(secret).map_err(|wrong| problem(&wrong))?;
    Ok(secret.to_owned())
}

/// Names and tags of a sink.
#[must_use]
pub fn mapping(settings: &Settings, plan: &SinkPlan) -> Mapping {
    let mut mapping = Mapping {
        cooperative: settings.cooperative.clone(),
        gateway: plan.gateway.clone(),
        ..Mapping::default()
    };
    for (id, zone) in &settings.plan.zones {
        let label = settings.zone_labels.get(id).cloned().unwrap_or_default();
        mapping.households.insert(id.to_string(), label.household.clone());
        for probe in &zone.probes {
            let place = ProbeLabel {
                zone: id.to_string(),
                household: label.household.clone(),
                depth_cm: label.depth_cm.get(probe).copied(),
            };
            mapping.probes.insert((probe.device.to_string(), probe.metric.to_string()), place);
        }
    }
    mapping
}

impl Door for Influx {
    fn write(&self, lines: Vec<u8>, is_compressed: bool) -> impl Future<Output = Answer> + Send {
        Self::write(self, lines, is_compressed)
    }

    fn ping(&self) -> impl Future<Output = Answer> + Send {
        Self::ping(self)
    }
}

#[cfg(test)]
mod tests;
