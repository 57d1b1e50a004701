//! One zone with one valve behind a gateway of its own process, for the tests of valves, commands and diary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use giot_store::{DiaryFilter, DiaryRow, Reader, ValveEventFilter, ValveEventRow};
use giot_tests::giot::{self, Giot, wait_for};
use giot_tests::node::{Kit, PATIENCE, key_from_hex};
use serde_json::Value;
use std::process::ExitStatus;
use std::time::Duration;
use tempfile::TempDir;

/// The zone.
pub(crate) const ZONE: &str = "man-1";
/// The node with its valve and its probe.
pub(crate) const NODE: &str = "v01";

/// A gateway with one zone.
pub(crate) struct Farm {
    pub(crate) dir: TempDir,
    /// Where its broker is: its own, or the external one.
    pub(crate) mqtt: String,
    /// The same over restarts, or port 0 where an external broker is used.
    listen: String,
    gateway: Option<Giot>,
    kit: Kit,
}

impl Farm {
    /// On the embedded broker; `zone_keys` are more keys of the zone.
    pub(crate) fn new(zone_keys: &str) -> Self {
        Self::on_broker(zone_keys, "")
    }

    /// With more tables in the configuration, such as `[broker]`.
    pub(crate) fn on_broker(zone_keys: &str, tables: &str) -> Self {
        let dir = TempDir::with_prefix("giot-farm-").unwrap();
        let zone = format!(
            "{tables}\n[[source]]\nid = \"pump-1\"\n[[zone]]\nid = \"{ZONE}\"\nsource = \"pump-1\"\n\
             valve = {{ node = \"{NODE}\" }}\nprobes = [{{ device = \"{NODE}\", metric = \"soil_moisture\" }}]\n\
             start_below_percent = 22\nstop_above_percent = 30\nmin_off_min = 0\n{zone_keys}\n"
        );
        std::fs::write(dir.path().join("giot.toml"), zone).unwrap();
        let credentials = giot::add_node(dir.path(), NODE, "node");
        let gateway = Giot::serve(dir.path(), &["--anonymous"]);
        let mqtt = gateway.mqtt.clone();
        let kit = Kit::new(NODE, key_from_hex(&credentials.key), &mqtt);
        let listen = if tables.contains("[broker]") { "127.0.0.1:0".to_owned() } else { mqtt.clone() };
        Self { dir, mqtt, listen, gateway: Some(gateway), kit }
    }

    /// The node, still switched off.
    pub(crate) fn kit(&self) -> Kit {
        self.kit.clone()
    }

    /// Registers another node.
    pub(crate) fn add(&self, id: &str) -> Kit {
        let credentials = giot::add_node(self.dir.path(), id, "node");
        Kit::new(id, key_from_hex(&credentials.key), &self.mqtt)
    }

    pub(crate) fn gateway(&self) -> &Giot {
        self.gateway.as_ref().expect("the gateway runs")
    }

    /// Ends the gateway as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.gateway.take().expect("the gateway runs").kill();
    }

    /// Ends the gateway in good order.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.gateway.take().expect("the gateway runs").stop()
    }

    /// Starts it again on the same folder and address.
    pub(crate) fn restart(&mut self) {
        assert!(self.gateway.is_none(), "it still runs");
        self.gateway = Some(Giot::serve_at(self.dir.path(), &self.listen, &["--anonymous"]));
    }

    /// Starts it again with a clock that is ahead of this machine's; what it says goes into a file of this name in its folder.
    pub(crate) fn restart_ahead(&mut self, ahead: Duration, log: &str) {
        assert!(self.gateway.is_none(), "it still runs");
        let log = self.dir.path().join(log);
        let gateway = Giot::serve_ahead(self.dir.path(), &self.listen, &["--anonymous"], ahead, &log);
        self.gateway = Some(gateway);
    }

    /// POST to a path below `/api/v1/`.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, String) {
        giot::request(&self.gateway().http, "POST", &format!("/api/v1/{path}"), Some(body))
    }

    /// The zone as the page sees it.
    pub(crate) fn zone(&self) -> Value {
        giot::get(&self.gateway().http, "/api/v1/overview")["zones"][0].clone()
    }

    /// Waits until the zone is in one of `states`.
    pub(crate) fn until_state(&self, states: &[&str]) -> Value {
        let what = format!("zone {states:?}");
        wait_for(&what, PATIENCE, || {
            let zone = self.zone();
            states.contains(&zone["state"].as_str().unwrap()).then_some(zone)
        })
    }

    /// Waits until the valve is known to be closed and nothing is under way.
    pub(crate) fn until_idle(&self) -> Value {
        self.until_state(&["idle", "waiting"])
    }

    /// Starts a run as a person would, and waits until the page shows it open.
    pub(crate) fn start_run(&self, minutes: f64) {
        self.until_idle();
        let (status, body) = self.post(&format!("zones/{ZONE}/start"), &format!("{{\"minutes\":{minutes}}}"));
        assert_eq!(status, 202, "{body}");
        self.until_state(&["open"]);
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(self.dir.path()).unwrap()
    }

    /// The whole diary, oldest first.
    pub(crate) fn diary(&self) -> Vec<DiaryRow> {
        let mut rows = self.reader().diary(&DiaryFilter { limit: 1000, ..DiaryFilter::default() }).unwrap();
        rows.reverse();
        rows
    }

    /// Every event of every valve, oldest first.
    pub(crate) fn valve_events(&self) -> Vec<ValveEventRow> {
        let filter = ValveEventFilter { limit: 1000, ..ValveEventFilter::default() };
        self.reader().valve_events(&filter).unwrap()
    }

    /// Waits for the `n`th closing of the valve in the history, counted from 0.
    pub(crate) fn until_closing(&self, n: usize) -> ValveEventRow {
        wait_for("a closing in the history", PATIENCE, || {
            self.valve_events().into_iter().filter(|event| !event.open).nth(n)
        })
    }
}
