//! The broker's rules: who is connected, what each client wants, what it has still to get, what becomes of it when it goes.
//!
//! Sans-IO: knows no socket, no clock and no rights. Connections are handles `H` of the shell, which asks for the bytes to
//! write with [`Core::poll_send`] after each call that names handles as touched. Same inputs, same outputs.
//!
//! Client ids are each user's own: two users with the same id are two clients, so that no device can take the place of another
//! by its name. (MQTT 5 section 3.1.3.1 wants ids to be unique for a server; to each user this one is a server of its own.)
//!
//! Invariants: a user's client id has one session and at most one connection; no user takes more than half of the places; every
//! collection has a bound ([`Bounds`] and the constants here and in `session` and `message`).

use super::codec::{Filter, Quality, Reason};
use super::filter::{ClientKey, Index, Subscription};
use super::message::{Message, Retained, after};
use super::session::{Peer, Queued, Session};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// How long a session outlives its connection at most, s: long enough for a weak link, short enough to forget a stranger.
pub(super) const SESSION_KEPT_S: u32 = 3600;
/// Filters a client may subscribe to.
const SUBSCRIPTIONS_MAX: usize = 64;
/// What all clients together may have waiting, bytes: a board has little memory.
const QUEUED_LEN_MAX: usize = 16 * 1024 * 1024;

/// Whose client id, `None` for anonymous ones, and the id.
type ClientName = (Option<Arc<str>>, Arc<str>);

/// How many clients there may be; half of them of one user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connected at the same time.
    pub(super) connections_max: usize,
    /// Kept for clients that asked for it, connected or not.
    pub(super) sessions_max: usize,
}

/// A client that wants in, with its rights already checked.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) client_id: &'a str,
    pub(super) user: Option<Arc<str>>,
    pub(super) clean: bool,
    pub(super) session_expiry_s: u32,
    pub(super) peer: Peer,
    pub(super) will: Option<LastWill>,
}

/// A will and when it counts.
#[derive(Debug)]
pub(super) struct LastWill {
    pub(super) message: Message,
    pub(super) delay_s: u32,
    pub(super) expiry_s: Option<u32>,
}

impl Entry<'_> {
    fn name(&self) -> ClientName {
        (self.user.clone(), self.client_id.into())
    }
}

impl LastWill {
    /// The message as it is published at `now`.
    fn published(self, now: Instant) -> Arc<Message> {
        let expires_at = self.expiry_s.and_then(|expiry_s| after(now, expiry_s));
        Arc::new(Message { expires_at, ..self.message })
    }
}

/// A client that is in.
#[derive(Debug)]
pub(super) struct Entered<H> {
    pub(super) session_present: bool,
    pub(super) session_expiry_s: u32,
    /// An older connection of the same client, to be ended.
    pub(super) replaced: Option<H>,
    /// That connection's will, to be published.
    pub(super) will: Option<Arc<Message>>,
}

/// One connection of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) client: ClientKey,
    connection: u64,
}

/// How a client goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Farewell {
    /// Whether it went without a word, so that its will counts.
    pub(super) is_lost: bool,
    /// Another session expiry than at the beginning, s.
    pub(super) session_expiry_s: Option<u32>,
}

/// What a message has caused.
#[derive(Debug)]
pub(super) struct Routed<H> {
    /// Connections with something to write.
    pub(super) touched: Vec<H>,
    /// Connections whose client reads too slowly and has to go.
    pub(super) slow: Vec<H>,
    /// Copies for which there was no room.
    pub(super) n_dropped: u64,
}

#[derive(Debug)]
struct Client<H> {
    name: ClientName,
    session: Session,
    filters: BTreeSet<Box<str>>,
    session_expiry_s: u32,
    presence: Presence<H>,
}

#[derive(Debug)]
enum Presence<H> {
    Here { connection: u64, handle: H, peer: Peer, will: Option<LastWill> },
    Away { until: Option<Instant>, will: Option<(Instant, LastWill)> },
}

/// Every client of the broker.
#[derive(Debug)]
pub(super) struct Core<H> {
    bounds: Bounds,
    clients: BTreeMap<ClientKey, Client<H>>,
    keys: BTreeMap<ClientName, ClientKey>,
    index: Index,
    /// Counts changes of the index.
    n_changes: u64,
    retained: Retained,
    queued_len: usize,
    last_number: u64,
}

impl<H: Clone> Core<H> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            clients: BTreeMap::new(),
            keys: BTreeMap::new(),
            index: Index::default(),
            n_changes: 0,
            retained: Retained::default(),
            queued_len: 0,
            last_number: 0,
        }
    }

    /// Rises with each change of a subscription: who matched before may not match any more.
    pub(super) const fn n_changes(&self) -> u64 {
        self.n_changes
    }

    /// The connections, to look after them.
    pub(super) fn handles(&self) -> impl Iterator<Item = &H> {
        self.clients.values().filter_map(Client::handle)
    }

    /// Whether a client may come in.
    ///
    /// # Errors
    /// A full house, or a user who has filled half of it.
    pub(super) fn check(&self, entry: &Entry<'_>) -> Result<(), Reason> {
        let existing = self.keys.get(&entry.name()).and_then(|key| self.clients.get(key));
        let is_here = existing.is_some_and(|client| client.handle().is_some());
        let has_place = is_here || self.has_room(entry, self.bounds.connections_max, Client::is_here);
        let is_kept = entry.session_expiry_s == 0 || existing.is_some_and(Client::is_kept);
        let has_session = is_kept || self.has_room(entry, self.bounds.sessions_max, Client::is_kept);
        if has_place && has_session { Ok(()) } else { Err(Reason::QuotaExceeded) }
    }

    /// Whether one more client may be like those that `counts`, `n_max` of all and half of them of one user.
    fn has_room(&self, entry: &Entry<'_>, n_max: usize, counts: fn(&Client<H>) -> bool) -> bool {
        let (mut n_all, mut n_of_user) = (0, 0);
        for client in self.clients.values().filter(|client| counts(client)) {
            n_all += 1;
            n_of_user += usize::from(client.name.0 == entry.user);
        }
        n_all < n_max && (entry.user.is_none() || n_of_user < n_max.div_ceil(2))
    }

    /// Lets a client in that [`Self::check`] has nothing against; `make` makes the handle of its connection.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        entry: Entry<'_>,
        make: impl FnOnce(Seat) -> H,
    ) -> (Entered<H>, H) {
        let name = entry.name();
        let Entry { clean, session_expiry_s, peer, will, .. } = entry;
        let session_expiry_s = session_expiry_s.min(SESSION_KEPT_S);
        let known = self.keys.get(&name).copied();
        let (replaced, last_words) = known.map_or((None, None), |key| self.take_over(now, key, clean));
        let present = self.keys.get(&name).copied();
        let key = present.unwrap_or_else(|| self.next_number());
        let seat = Seat { client: key, connection: self.next_number() };
        let handle = make(seat);
        let presence = Presence::Here { connection: seat.connection, handle: handle.clone(), peer, will };
        if let Some(client) = self.clients.get_mut(&key) {
            client.session.resume();
            client.session_expiry_s = session_expiry_s;
            client.presence = presence;
        } else {
            self.keys.insert(name.clone(), key);
            let (session, filters) = (Session::default(), BTreeSet::new());
            self.clients.insert(key, Client { name, session, filters, session_expiry_s, presence });
        }
        let session_present = present.is_some();
        (Entered { session_present, session_expiry_s, replaced, will: last_words }, handle)
    }

    /// Makes room for a new connection of the same client. Returns the old one and its will, if it is due.
    fn take_over(&mut self, now: Instant, key: ClientKey, clean: bool) -> (Option<H>, Option<Arc<Message>>) {
        let Some(client) = self.clients.get_mut(&key) else { return (None, None) };
        let is_over = clean || !client.is_kept();
        let away = Presence::Away { until: None, will: None };
        let (handle, will) = match std::mem::replace(&mut client.presence, away) {
            Presence::Here { handle, will, .. } => {
                // A delayed will does not count when the client is back in time, unless its session ends here.
                (Some(handle), will.filter(|will| will.delay_s == 0 || is_over))
            }
            Presence::Away { will, .. } => (None, will.map(|(_, will)| will).filter(|_| is_over)),
        };
        if is_over {
            self.forget(key);
        }
        (handle, will.map(|will| will.published(now)))
    }

    /// A connection has ended. Returns a will that is due.
    pub(super) fn leave(&mut self, now: Instant, seat: Seat, farewell: Farewell) -> Option<Arc<Message>> {
        let client = self.clients.get_mut(&seat.client)?;
        if !client.sits(seat) {
            // Replaced by a newer one.
            return None;
        }
        // A session that was not to be kept stays so (MQTT 5 section 3.14.2.2.2).
        if let Some(expiry_s) = farewell.session_expiry_s.filter(|_| client.is_kept()) {
            client.session_expiry_s = expiry_s.min(SESSION_KEPT_S);
        }
        let expiry_s = client.session_expiry_s;
        let away = Presence::Away { until: after(now, expiry_s), will: None };
        let Presence::Here { will, .. } = std::mem::replace(&mut client.presence, away) else { return None };
        let will = will.filter(|_| farewell.is_lost);
        let queued_before = client.session.queue_len();
        client.session.pause();
        self.queued_len = self.queued_len.saturating_sub(queued_before - client.session.queue_len());
        let due = if expiry_s == 0 {
            self.forget(seat.client);
            will
        } else {
            will.and_then(|will| client.keep_will(now, will))
        };
        due.map(|will| will.published(now))
    }

    /// Forgets what has expired, and returns the wills that are due.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Arc<Message>> {
        let (mut wills, mut gone) = (Vec::new(), Vec::new());
        for (key, client) in &mut self.clients {
            let Presence::Away { until, will } = &mut client.presence else { continue };
            let is_gone = until.is_none_or(|until| until <= now);
            if let Some((_, will)) = will.take_if(|(at, _)| is_gone || *at <= now) {
                wills.push(will.published(now));
            }
            if is_gone {
                gone.push(*key);
            }
        }
        gone.into_iter().for_each(|key| self.forget(key));
        self.retained.expire(now);
        wills
    }

    fn forget(&mut self, key: ClientKey) {
        let Some(client) = self.clients.remove(&key) else { return };
        self.keys.remove(&client.name);
        self.queued_len = self.queued_len.saturating_sub(client.session.queue_len());
        for filter in &client.filters {
            self.index.remove(filter, key);
        }
        if !client.filters.is_empty() {
            self.n_changes += 1;
        }
    }

    /// Whether anybody wants a topic.
    pub(super) fn is_wanted(&self, topic: &str) -> bool {
        let mut is_wanted = false;
        self.index.find(topic, &mut |_, _| is_wanted = true);
        is_wanted
    }

    /// Takes a message for everybody who wants it. `from` is the client that published it, if one did.
    pub(super) fn publish(&mut self, from: Option<ClientKey>, message: &Arc<Message>) -> Routed<H> {
        let mut routed = Routed { touched: Vec::new(), slow: Vec::new(), n_dropped: 0 };
        if message.retain && !self.retained.keep(message) {
            routed.n_dropped += 1;
        }
        let mut wishes: BTreeMap<ClientKey, Wish> = BTreeMap::new();
        self.index.find(&message.topic, &mut |client, subscription| {
            if !(subscription.no_local && from == Some(client)) {
                wishes.entry(client).or_default().add(subscription);
            }
        });
        for (key, wish) in wishes {
            let retain = message.retain && wish.retain_as_published;
            self.offer(key, message, wish.quality, retain, wish.ids, &mut routed);
        }
        routed
    }

    fn offer(
        &mut self,
        key: ClientKey,
        message: &Arc<Message>,
        wanted: Quality,
        retain: bool,
        ids: Vec<u32>,
        routed: &mut Routed<H>,
    ) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let quality = wanted.min(message.quality);
        let handle = client.handle().cloned();
        if handle.is_none() && quality == Quality::AtMostOnce {
            return;
        }
        let queued = Queued {
            message: Arc::clone(message),
            quality,
            retain,
            subscription_ids: ids.into_boxed_slice(),
        };
        let has_room = self.queued_len.saturating_add(message.cost()) <= QUEUED_LEN_MAX;
        if has_room && client.session.offer(queued) {
            self.queued_len += message.cost();
            routed.touched.extend(handle);
        } else {
            routed.n_dropped += 1;
            routed.slow.extend(handle);
        }
    }

    /// Takes a subscription, along with the retained messages it brings. Returns the quality granted.
    ///
    /// # Errors
    /// Too many subscriptions, or a connection that was replaced.
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        seat: Seat,
        filter: &Filter<'_>,
        id: Option<u32>,
    ) -> Result<Quality, Reason> {
        let Some(client) = self.clients.get_mut(&seat.client).filter(|client| client.sits(seat)) else {
            return Err(Reason::SessionTakenOver);
        };
        let is_known = client.filters.contains(filter.filter);
        if !is_known && client.filters.len() >= SUBSCRIPTIONS_MAX {
            return Err(Reason::QuotaExceeded);
        }
        client.filters.insert(filter.filter.into());
        let Filter { quality, no_local, retain_as_published, .. } = *filter;
        let subscription = Subscription { quality, no_local, retain_as_published, id };
        let is_new = self.index.insert(filter.filter, seat.client, subscription);
        self.n_changes += 1;
        if filter.retain_handling == 0 || (filter.retain_handling == 1 && is_new) {
            let kept: Vec<_> = self.retained.find(filter.filter, now).cloned().collect();
            let mut routed = Routed { touched: Vec::new(), slow: Vec::new(), n_dropped: 0 };
            for message in kept {
                self.offer(seat.client, &message, quality, true, id.into_iter().collect(), &mut routed);
            }
        }
        Ok(quality)
    }

    /// Ends a subscription. Returns the reason for the UNSUBACK.
    pub(super) fn unsubscribe(&mut self, seat: Seat, filter: &str) -> Reason {
        let client = self.clients.get_mut(&seat.client).filter(|client| client.sits(seat));
        if !client.is_some_and(|client| client.filters.remove(filter)) {
            return Reason::NoSubscriptionExisted;
        }
        self.index.remove(filter, seat.client);
        self.n_changes += 1;
        Reason::Success
    }

    /// The session behind a connection, for the steps of its exchanges; `None` once it was replaced.
    pub(super) fn session(&mut self, seat: Seat) -> Option<&mut Session> {
        self.clients
            .get_mut(&seat.client)
            .filter(|client| client.sits(seat))
            .map(|client| &mut client.session)
    }

    /// Writes what the client behind a connection may get now, until `out` holds `len_max` bytes. Returns how many
    /// messages had expired instead.
    pub(super) fn poll_send(&mut self, now: Instant, seat: Seat, out: &mut Vec<u8>, len_max: usize) -> u64 {
        let Some(client) = self.clients.get_mut(&seat.client).filter(|client| client.sits(seat)) else {
            return 0;
        };
        let Presence::Here { peer, .. } = &client.presence else { return 0 };
        let queued_before = client.session.queue_len();
        let n_expired = client.session.poll_send(now, peer, out, len_max);
        self.queued_len = self.queued_len.saturating_sub(queued_before - client.session.queue_len());
        n_expired
    }
}

impl<H> Client<H> {
    const fn handle(&self) -> Option<&H> {
        match &self.presence {
            Presence::Here { handle, .. } => Some(handle),
            Presence::Away { .. } => None,
        }
    }

    const fn is_here(&self) -> bool {
        self.handle().is_some()
    }

    /// Whether the session outlives its connection.
    const fn is_kept(&self) -> bool {
        self.session_expiry_s > 0
    }

    /// Keeps a will for later, at the latest for the end of the session; gives it back when it is due at once.
    fn keep_will(&mut self, now: Instant, will: LastWill) -> Option<LastWill> {
        match &mut self.presence {
            Presence::Away { until, will: kept } if will.delay_s > 0 => {
                let at = [after(now, will.delay_s), *until].into_iter().flatten().min();
                *kept = at.map(|at| (at, will));
                None
            }
            Presence::Here { .. } | Presence::Away { .. } => Some(will),
        }
    }

    fn sits(&self, seat: Seat) -> bool {
        matches!(self.presence, Presence::Here { connection, .. } if connection == seat.connection)
    }
}

impl<H> Core<H> {
    const fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// What one client's matching subscriptions come to: one copy, by the best of them.
#[derive(Debug)]
struct Wish {
    quality: Quality,
    retain_as_published: bool,
    ids: Vec<u32>,
}

impl Default for Wish {
    fn default() -> Self {
        Self { quality: Quality::AtMostOnce, retain_as_published: false, ids: Vec::new() }
    }
}

impl Wish {
    fn add(&mut self, subscription: Subscription) {
        self.quality = self.quality.max(subscription.quality);
        self.retain_as_published |= subscription.retain_as_published;
        self.ids.extend(subscription.id);
    }
}

#[cfg(test)]
mod tests;
