//! Logins and rights of the embedded broker: the library's questions, answered by [`Access`].
//!
//! Decides only what belongs to the transport itself: our private topics stay private, and clients may not fill memory
//! with sessions that nobody comes back for.

use super::intake::{MARKER_TOPIC, PRIVATE};
use super::{Access, Login};
use mqtt5::broker::storage::ClientSession;
use mqtt5::broker::{AuthProvider, AuthResult, DynamicStorage, StorageBackend};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Logins judged at the same time: a password hash may take a core for tens of milliseconds, and a storm of
/// connections after a power cut must leave cores for those already in.
const LOGINS_AT_ONCE: usize = 2;

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers the library.
pub(super) struct Gate {
    access: Arc<dyn Access>,
    storage: Arc<DynamicStorage>,
    logins: Semaphore,
    sessions_max: usize,
    /// Sessions that outlive their connection; an estimate that upkeep corrects.
    sessions: AtomicUsize,
}

impl Gate {
    pub(super) fn new(access: Arc<dyn Access>, storage: Arc<DynamicStorage>, sessions_max: usize) -> Self {
        let logins = Semaphore::new(LOGINS_AT_ONCE);
        Self { access, storage, logins, sessions_max, sessions: AtomicUsize::new(0) }
    }

    /// Tells how many sessions are kept in truth.
    pub(super) fn count_sessions(&self, n_sessions: usize) {
        self.sessions.store(n_sessions, Ordering::Relaxed);
    }

    /// Whether the client wants a session kept that is not kept yet.
    async fn wants_new_session(&self, connect: &ConnectPacket) -> bool {
        ClientSession::expiry_from_connect(connect) != Some(0)
            && !matches!(self.storage.get_session(&connect.client_id).await, Ok(Some(_)))
    }

    async fn judge(&self, connect: &ConnectPacket, from: SocketAddr) -> AuthResult {
        let wants_new = self.wants_new_session(connect).await;
        if wants_new && self.sessions.load(Ordering::Relaxed) >= self.sessions_max {
            tracing::warn!(client = %connect.client_id, %from, "login refused: too many sessions are kept");
            return AuthResult::fail(ReasonCode::QuotaExceeded);
        }
        let Ok(_place) = self.logins.acquire().await else {
            return AuthResult::fail(ReasonCode::ServerUnavailable);
        };
        let access = Arc::clone(&self.access);
        let client_id = connect.client_id.clone();
        let (user, password) = (connect.username.clone(), connect.password.clone());
        let judged = tokio::task::spawn_blocking(move || {
            access.check_login(&client_id, user.as_deref(), password.as_deref())
        });
        let judged = judged.await;
        if wants_new && matches!(judged, Ok(Login::User(_) | Login::Anonymous)) {
            self.sessions.fetch_add(1, Ordering::Relaxed);
        }
        match judged {
            Ok(Login::User(name)) => AuthResult::success_with_user(name),
            Ok(Login::Anonymous) => AuthResult::success(),
            Ok(Login::Denied) => {
                tracing::warn!(client = %connect.client_id, %from, "login refused: wrong name or password");
                AuthResult::fail(ReasonCode::BadUsernameOrPassword)
            }
            Err(error) => {
                tracing::error!(%error, "the login check failed");
                AuthResult::fail(ReasonCode::ServerUnavailable)
            }
        }
    }
}

impl AuthProvider for Gate {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        client_addr: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move { Ok(self.judge(connect, client_addr).await) })
    }

    fn authorize_publish<'a>(
        &'a self,
        _: &str,
        user_id: Option<&'a str>,
        topic: &'a str,
    ) -> Answer<'a, bool> {
        let allowed = topic == MARKER_TOPIC || self.access.may_publish(user_id, topic);
        Box::pin(std::future::ready(allowed))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _: &str,
        user_id: Option<&'a str>,
        topic_filter: &'a str,
    ) -> Answer<'a, bool> {
        let allowed = !topic_filter.contains(PRIVATE) && self.access.may_subscribe(user_id, topic_filter);
        Box::pin(std::future::ready(allowed))
    }
}
