//! The hub's way of one delivery: topic → family → samples → store and engine.

use super::registry::Device;
use super::session::{self, Session};
use super::turn::{self, Turn};
use super::{Committed, Hub, STRANGERS_MAX, codec, news};
use crate::ingest::node::{DatedValve, Greeting, Heard, Taken, Verdict};
use crate::ingest::{self, Sample, json};
use crate::mqtt::{Ack, Delivery};
use crate::quality::Quality;
use giot_engine::{Age, Input, Level, MetricName, ProbeRef, ValveRef};
use giot_shared::ids::{CommandId, NodeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::UnixMs;
use giot_shared::wire::{
    self, Answer, Close, Downlink, Hello, Order, Records, SettingsEvent, Topic, Uplink, Welcome,
};
use giot_store::{Batch, DeviceRow, DeviceSamples, LastValue, Mark, MetricSample};
use std::sync::Arc;

/// The engine counts its commands from 1: this one is nobody's.
const NO_COMMAND: CommandId = CommandId(0);

/// How long a question for a node's uptime is worth sending, and after how long it is put again.
const ASK_TTL_S: u32 = 30;
const ASK_AGAIN_MS: u64 = 60_000;

impl Hub {
    /// Takes one message in. Not cancel-safe.
    ///
    /// # Errors
    /// When the store has closed.
    pub(super) async fn deliver(&mut self, delivery: Delivery) -> anyhow::Result<()> {
        let Delivery { topic, payload, retained, ack } = delivery;
        let Some((node, channel)) = Topic::parse(&self.settings.topic_prefix, &topic) else {
            // The adapters pass on nothing else; kept, it would come again for ever.
            ack.accept();
            return Ok(());
        };
        match channel {
            Topic::Json => self.deliver_json(&node, &payload, retained, ack),
            Topic::Up => self.deliver_up(&node, &payload, ack),
            Topic::Status => {
                self.deliver_status(&node, &payload);
                ack.accept();
            }
            Topic::Down => ack.accept(),
        }
        // A full store: what is left of this turn waits here, and the adapters' queues fill behind it.
        while let Some((batch, done)) = self.waiting.take() {
            self.wait_for_room(batch, done).await?;
        }
        Ok(())
    }

    /// Waits for room in the store while people, commits and timers go on.
    async fn wait_for_room(&mut self, batch: Batch, done: giot_store::Done) -> anyhow::Result<()> {
        self.waiting = Some((batch, done));
        while self.waiting.is_some() {
            let timer = self.timer();
            tokio::select! {
                biased;
                Some(request) = self.requests.recv() => self.serve(request),
                Some(news) = self.committed.recv() => self.handle_committed(news),
                () = super::sleep_or_never(timer) => self.time_passed(),
                room = self.writer.room() => {
                    room.map_err(|_| anyhow::anyhow!("the store has closed"))?;
                    self.resubmit()?;
                }
            }
        }
        Ok(())
    }

    fn deliver_json(&mut self, node: &NodeId, payload: &[u8], is_retained: bool, ack: Ack) {
        if !self.may_speak(node) {
            self.bad(node, &"not registered: giot node add ID --kind json");
            // Refusing it would bring it back for ever.
            ack.accept();
            return;
        }
        let now_us = self.clock.wall_us_unchecked();
        let decoded = match json::decode(payload, now_us, &mut self.names) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.bad(node, &error);
                ack.reject();
                return;
            }
        };
        let Some(session) = self.session(node) else {
            self.bad(node, &"too many unregistered devices");
            ack.accept();
            return;
        };
        session.heard_at = Some(UnixMs(now_us.div_euclid(1000)));
        let device = session.name.clone();
        let mut batch = Batch::default();
        // What the broker had kept may be of any age: no zone decides by it.
        if !is_retained {
            self.feed(node, &decoded.samples, &mut batch);
        }
        batch.samples.push(device_samples(device, decoded.samples));
        let done = self.done(!batch.diary.is_empty(), move |is_stored| settle(ack, is_stored));
        self.submit(batch, done);
    }

    fn deliver_up(&mut self, node: &NodeId, payload: &[u8], ack: Ack) {
        if self.registry.get(node).is_none() {
            self.bad(node, &"not registered: giot node add ID");
            ack.accept();
            return;
        }
        let uplink = match Uplink::decode(payload) {
            Ok(uplink) => uplink,
            Err(error) => {
                self.bad(node, &error);
                ack.accept();
                return;
            }
        };
        let now = self.clock.wall_unchecked();
        let mut last_heard_at = None;
        if let Some(session) = self.session(node) {
            last_heard_at = session.heard_at.replace(now);
            // Behind an external broker a node stays connected while the gateway restarts, and says no Hello.
            session.is_online = true;
        }
        match uplink {
            Uplink::Hello(hello) => {
                self.greet(node, &hello, last_heard_at);
                ack.accept();
            }
            Uplink::Answer(answer) => {
                self.deliver_answer(node, answer);
                ack.accept();
            }
            Uplink::Records(records) => self.deliver_records(node, &records, ack),
        }
    }

    fn greet(&mut self, node: &NodeId, hello: &Hello, last_heard_at: Option<UnixMs>) {
        let heard = self.heard();
        let wall = heard.wall;
        let Some(session) = self.session(node) else { return };
        let name = session.name.clone();
        let n_unheard = session.records.n_unheard_before(hello.epoch);
        let greeting = session.records.handle_hello(hello, heard);
        self.is_view_old = true;
        let (stored, dating, missing) = match greeting {
            Greeting::Welcome { stored, dating, missing } => (stored, dating, missing),
            Greeting::CounterWentBack { stored } => {
                tracing::warn!(%node, epoch = hello.epoch, stored = stored.epoch,
                    "the node counts its boots from anew, so its flash was replaced: it is told where to go on");
                self.send(node, &Downlink::Welcome(Welcome { nonce: hello.nonce, unix: wall, stored }), None);
                return;
            }
        };
        if let Some(n_unheard) = n_unheard {
            self.tell_boot(node, hello, n_unheard, last_heard_at);
        }
        self.keep_sleep(node);
        if missing {
            tracing::error!(%node, epoch = stored.epoch, seq = stored.seq,
                "records before this were acknowledged and are not in this data folder: it was restored from an older copy");
            let mark =
                Mark { node: name.clone(), epoch: stored.epoch, seq: u64::from(stored.seq), after: None };
            let batch = Batch { mark: Some(mark), ..Batch::default() };
            let done = self.done(false, |_| {});
            self.submit(batch, done);
        }
        if let Some(dating) = dating {
            session::keep_dating(name, hello.epoch, &dating, &mut self.own);
        }
        if let Some(reservation) = self.orders.skip_to(hello.counter.saturating_add(1)) {
            self.own.counters.push(reservation);
        }
        self.send(node, &Downlink::Welcome(Welcome { nonce: hello.nonce, unix: wall, stored }), None);
        let at = self.clock.wall_unchecked();
        if self.changes.get_mut(node).is_some_and(|change| change.handle_hello(at)) {
            self.keep_change(node);
        }
        self.say_change(node);
        self.turn_key(node);
        let valves: Vec<_> =
            hello.valves.iter().map(|valve| (valve.valve, valve.open, valve.command)).collect();
        self.engine.handle(self.now(), Input::NodeOnline { node, valves: &valves });
        self.act(&mut None);
    }

    fn deliver_answer(&mut self, node: &NodeId, answer: Answer) {
        if let Some(refused) = answer.refused {
            let command = answer.command.map(|command| command.0);
            tracing::warn!(%node, command, refused = refused.code(), "a node refused a message");
        }
        if let Some(command) = answer.command {
            let mono = self.clock.mono();
            if let Some(session) = self.sessions.get_mut(node)
                && session.asked.take_if(|(asked, _)| *asked == command).is_some()
            {
                session.records.handle_uptime(answer.uptime, mono);
            }
            let at = self.clock.wall_unchecked();
            let change = self.changes.get_mut(node);
            if change.is_some_and(|change| change.handle_answer(command, answer.refused, at)) {
                self.keep_change(node);
            }
            self.engine.handle(self.now(), Input::Answer { command, refused: answer.refused });
            self.act(&mut None);
        }
    }

    fn deliver_records(&mut self, node: &NodeId, records: &Records, ack: Ack) {
        let heard = self.heard();
        let Some(session) = self.session(node) else { return };
        let name = session.name.clone();
        match session.records.handle_records(records, heard) {
            Verdict::Take(taken) => {
                if !session.records.has_line() {
                    self.ask_for_uptime(node);
                }
                self.keep(node, name, taken, ack);
            }
            Verdict::Repeat | Verdict::Gap => {
                // Tells the node where to go on; a repeat still on its way to the disk is acknowledged by its commit.
                let stored = session.records.stored.unwrap_or_default();
                self.send(node, &Downlink::Ack(wire::Ack { stored }), None);
                ack.accept();
            }
            Verdict::Undated => {
                self.bad(node, &"records wait on the node until the gateway's clock is set");
                ack.accept();
            }
            Verdict::Malformed => {
                self.bad(node, &"records out of order within one message");
                ack.accept();
            }
        }
    }

    /// Gives a node that still has its printed key another one.
    fn turn_key(&mut self, node: &NodeId) {
        let at = self.clock.wall_unchecked();
        if !self.checks_logins || self.changes.get(node).is_some_and(|change| change.is_open(at)) {
            return;
        }
        let Some((turn, first)) = self.registry.turn(node) else { return };
        let Some(key) = first else {
            if turn.is_proven_by_use(at) {
                let (memory, device) = self.settle_key(node);
                self.own.memory.extend(memory);
                self.own.devices.extend(device);
            }
            return;
        };
        let salt = turn.salt_to_send(at);
        let Some((salt, text)) = salt.and_then(|salt| Some((salt, turn::settings(&key, &salt)?))) else {
            return;
        };
        let command = self.change(node, text, turn::WITHIN_S);
        let offered = Turn::Offered { salt, command, at };
        self.own.memory.push((turn::row(node), offered.to_json()));
        self.registry.offer(node, offered);
    }

    /// A node keeps its second key: the rows that say so.
    fn settle_key(&self, node: &NodeId) -> (Option<(String, String)>, Option<DeviceRow>) {
        let device = self.registry.settle(node);
        if device.is_some() {
            tracing::info!(%node, "it has a key of its own now: the code that was printed means nothing any more");
        }
        (device.is_some().then(|| (turn::row(node), Turn::Done.to_json())), device)
    }

    /// Behind an external broker a node that only measures would not notice the gateway's restart, and nobody would know how
    /// old its readings are until its next Hello. Every node answers an order with its uptime: it is asked to close what it
    /// has, which is nothing. Nodes with valves are asked by the engine, which closes them after a start.
    fn ask_for_uptime(&mut self, node: &NodeId) {
        let has_valve = self.settings.plan.zones.values().any(|zone| zone.valve.node == *node);
        let now = self.clock.mono();
        let asked_at = self.sessions.get(node).and_then(|session| session.asked).map(|(_, at)| at);
        let is_asked = asked_at.is_some_and(|at| now.since_ms(at) < ASK_AGAIN_MS);
        if !has_valve && !is_asked && self.watched.contains_key(node) {
            let close = Close { command: NO_COMMAND, valve: None };
            self.order(node, Order::Close(close), ASK_TTL_S);
        }
    }

    fn keep(&mut self, node: &NodeId, name: Arc<str>, taken: Taken, ack: Ack) {
        if taken.n_unknown > 0 {
            self.bad(
                node,
                &"records of a kind or a metric that this version does not know: update the gateway",
            );
        }
        let (news, told) = self.tell_losses(node, &taken.lost);
        for event in &taken.settings {
            let at = self.clock.wall_unchecked();
            let change = self.changes.get_mut(node);
            if change.is_some_and(|change| change.handle_event(*event, at)) {
                self.keep_change(node);
            }
        }
        let battery = taken.samples.iter().rfind(|sample| &*sample.metric == Metric::Battery.name());
        if let (Some(battery), Some(session)) = (battery, self.sessions.get_mut(node)) {
            session.battery_mv = battery.value;
        }
        let last = taken.last;
        let turn = (!taken.settings.is_empty()).then(|| self.registry.turn(node)).flatten();
        let is_kept = |event: &SettingsEvent| {
            turn.as_ref().is_some_and(|(turn, _)| turn.is_kept(event.command, event.outcome))
        };
        let (turned, device) =
            if taken.settings.iter().any(is_kept) { self.settle_key(node) } else { (None, None) };
        let mut batch = Batch {
            memory: turned.into_iter().chain(news).collect(),
            diary: told.into_iter().collect(),
            devices: device.into_iter().collect(),
            mark: Some(Mark {
                node: name.clone(),
                epoch: last.epoch,
                seq: u64::from(last.seq),
                after: Some((taken.after.epoch, u64::from(taken.after.seq))),
            }),
            valve_events: taken.valves.iter().map(|event| codec::valve_row(node, event)).collect(),
            ..Batch::default()
        };
        if let Some(dating) = taken.new_dating {
            session::keep_dating(name.clone(), last.epoch, &dating, &mut batch);
        }
        // In the order in which it happened: what a meter counted while somebody's hand had opened a valve is no leak.
        for (samples, valve) in taken.in_order() {
            self.feed(node, samples, &mut batch);
            if let Some(event) = valve {
                self.feed_valve(node, event, &mut batch);
            }
        }
        if taken.valves.iter().any(|event| !event.open) {
            // A node takes no settings while a valve is open.
            self.say_change(node);
        }
        batch.samples.push(device_samples(name, taken.samples));
        let committed = self.committed_tx.clone();
        let node = node.clone();
        let done = self.done(!batch.diary.is_empty(), move |is_stored| {
            settle(ack, is_stored);
            // Fails only when the hub is gone: the node sends again to the next one.
            committed.send(Committed::Records { node, last, is_stored }).ok();
        });
        self.submit(batch, done);
    }

    /// Shows the engine the readings that some zone decides by.
    fn feed(&mut self, node: &NodeId, samples: &[Sample], batch: &mut Batch) {
        if let Some(metrics) = self.gauges.get(node).cloned() {
            for sample in samples {
                if let Some(metric) = metrics.iter().find(|metric| metric.as_str() == &*sample.metric) {
                    self.feed_gauge(node, metric, (sample.at_us, sample.age), sample.value, sample.quality);
                }
            }
            self.act(&mut Some(&mut *batch));
        }
        self.feed_rules(node, samples);
        let Some(watched) = self.watched.get(node) else {
            self.act(&mut Some(batch));
            return;
        };
        let mut fed = Vec::new();
        for sample in samples {
            if let Some(probe) = watched.iter().find(|probe| probe.metric.as_str() == &*sample.metric) {
                fed.push((probe.clone(), sample));
            }
        }
        for (probe, sample) in fed {
            self.feed_one(&probe, sample);
        }
        self.act(&mut Some(batch));
    }

    fn heard(&self) -> Heard {
        Heard { wall: self.clock.wall(), mono: self.clock.mono() }
    }

    /// Shows the engine a reading from before the start. How long the gateway was away only a civil clock could tell, and
    /// that may have stood still meanwhile (a board without battery goes on where it was switched off).
    pub(super) fn recall_one(&mut self, probe: &ProbeRef, last: &LastValue) {
        let kept = last.sample;
        let (metric, quality) = (last.metric.clone(), Quality::from_byte(kept.quality));
        self.feed_one(
            probe,
            &Sample { metric, at_us: kept.at_us, age: Age::Unknown, value: kept.value, quality },
        );
    }

    fn feed_one(&mut self, probe: &ProbeRef, sample: &Sample) {
        let Sample { at_us, age, value, quality, .. } = *sample;
        let at = UnixMs(at_us.div_euclid(1000));
        let level = value.map(|value| ingest::as_moisture_percent(probe.metric.as_str(), value));
        let level = level.and_then(Level::from_unit);
        let good = quality == Quality::Good && level.is_some();
        let input = Input::Reading { device: &probe.device, metric: &probe.metric, at, age, level, good };
        self.engine.handle(self.now(), input);
        self.ruling.touch_probe(probe);
        self.is_view_old = true;
    }

    /// Shows the engine a reading that some guard decides by.
    pub(super) fn feed_gauge(
        &mut self,
        device: &NodeId,
        metric: &MetricName,
        (at_us, age): (i64, Age),
        value: Option<f64>,
        quality: Quality,
    ) {
        let at = UnixMs(at_us.div_euclid(1000));
        let milli = value.filter(|_| quality == Quality::Good).and_then(crate::config::to_milli);
        self.engine.handle(self.now(), Input::Gauge { device, metric, at, age, milli });
        self.is_view_old = true;
    }

    fn feed_valve(&mut self, node: &NodeId, event: &DatedValve, batch: &mut Batch) {
        let valve = ValveRef { node: node.clone(), valve: ValveId(event.valve.0) };
        self.engine.handle(self.now(), event.input(&valve));
        self.act(&mut Some(batch));
    }

    fn deliver_status(&mut self, node: &NodeId, payload: &[u8]) {
        let is_online = payload == b"online";
        // The Hello that follows an "online" says what the valves do; until then the node counts as away.
        let was_online = self.session(node).is_some_and(|session| {
            let was_online = session.is_online;
            session.is_online &= is_online;
            was_online
        });
        if is_online || !was_online {
            return;
        }
        self.is_view_old = true;
        tracing::info!(%node, "a node went offline");
        self.engine.handle(self.now(), Input::NodeOffline { node });
        self.act(&mut None);
    }

    /// Whether a device may deliver JSON at all.
    fn may_speak(&self, node: &NodeId) -> bool {
        self.anonymous || self.registry.get(node).is_some()
    }

    /// What is kept of a device; `None` when there are too many that nobody registered.
    fn session(&mut self, node: &NodeId) -> Option<&mut Session> {
        if !self.sessions.contains_key(node) {
            let session = match self.registry.get(node) {
                Some(device) => self.restore(node, &device).unwrap_or_else(|error| {
                    tracing::error!(%node, error = format!("{error:#}"), "a node's past could not be read");
                    Session::new(node)
                }),
                None if self.sessions.len() >= STRANGERS_MAX => return None,
                None => Session::new(node),
            };
            self.sessions.insert(node.clone(), session);
        }
        self.sessions.get_mut(node)
    }

    fn restore(&self, node: &NodeId, device: &Device) -> anyhow::Result<Session> {
        let rows = self.reader.memory()?;
        let fits = session::fits_from_rows(&rows);
        let news = news::from_rows(&rows).remove(node).unwrap_or_default();
        Session::restore(node, device, &self.reader, fits.get(node.as_str()), news)
    }
}

fn settle(ack: Ack, is_stored: bool) {
    if is_stored {
        ack.accept();
    }
}

fn device_samples(device: Arc<str>, samples: Vec<Sample>) -> DeviceSamples {
    let samples = samples.into_iter().map(|sample| MetricSample {
        metric: sample.metric,
        at_us: sample.at_us,
        value: sample.value,
        quality: sample.quality.byte(),
    });
    DeviceSamples { device, samples: samples.collect() }
}
