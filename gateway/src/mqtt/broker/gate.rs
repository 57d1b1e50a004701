//! The door: who may open a socket, and who may come in. Answered by [`Access`]; decides by itself only what belongs to
//! the transport, that is how much strangers may take.

use super::codec::Reason;
use crate::mqtt::{Access, Login};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Logins judged at the same time: a password hash may take a core for tens of milliseconds, and a storm of
/// connections after a power cut must leave cores for those already in.
const LOGINS_AT_ONCE: usize = 2;
/// Sockets that have not logged in yet.
const STRANGERS_MAX: usize = 256;
/// Those of one address: half, so that no single one shuts the others out. A cooperative behind one router that comes
/// back at once finds its turn within seconds.
const STRANGERS_OF_ONE_MAX: usize = STRANGERS_MAX / 2;

/// The door.
pub(super) struct Gate {
    access: Arc<dyn Access>,
    logins: Semaphore,
    strangers: Arc<Mutex<Strangers>>,
}

/// Sockets that have not logged in, by address.
#[derive(Debug, Default)]
struct Strangers {
    n_all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A stranger's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    strangers: Arc<Mutex<Strangers>>,
    address: IpAddr,
}

impl Gate {
    pub(super) fn new(access: Arc<dyn Access>) -> Self {
        Self { access, logins: Semaphore::new(LOGINS_AT_ONCE), strangers: Arc::default() }
    }

    /// A place for a new socket, if there is one.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Place> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let n_of_one = strangers.by_address.get(&address).copied().unwrap_or(0);
        if strangers.n_all >= STRANGERS_MAX || n_of_one >= STRANGERS_OF_ONE_MAX {
            return None;
        }
        strangers.n_all += 1;
        strangers.by_address.insert(address, n_of_one + 1);
        Some(Place { strangers: Arc::clone(&self.strangers), address })
    }

    /// Judges a login on a thread that may block; gives the user, `None` for nobody in particular.
    ///
    /// # Errors
    /// Wrong credentials, or a check that failed.
    pub(super) async fn judge(
        &self,
        client_id: &str,
        user: Option<&str>,
        password: Option<&[u8]>,
        from: SocketAddr,
    ) -> Result<Option<Arc<str>>, Reason> {
        let Ok(_turn) = self.logins.acquire().await else { return Err(Reason::ServerUnavailable) };
        let access = Arc::clone(&self.access);
        let (id, user, password) =
            (client_id.to_owned(), user.map(str::to_owned), password.map(<[u8]>::to_vec));
        let judged = tokio::task::spawn_blocking(move || {
            access.check_login(&id, user.as_deref(), password.as_deref())
        });
        match judged.await {
            Ok(Login::User(name)) => Ok(Some(name.into())),
            Ok(Login::Anonymous) => Ok(None),
            Ok(Login::Denied) => {
                tracing::warn!(client = client_id, %from, "login refused: wrong name or password");
                Err(Reason::BadUserNameOrPassword)
            }
            Err(error) => {
                tracing::error!(%error, "the login check failed");
                Err(Reason::ServerUnavailable)
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        strangers.n_all = strangers.n_all.saturating_sub(1);
        let n_left = strangers.by_address.get(&self.address).map_or(0, |n| n.saturating_sub(1));
        if n_left == 0 {
            strangers.by_address.remove(&self.address);
        } else {
            strangers.by_address.insert(self.address, n_left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    struct Everybody;

    impl Access for Everybody {
        fn check_login(&self, _: &str, _: Option<&str>, _: Option<&[u8]>) -> Login {
            Login::Anonymous
        }
        fn may_publish(&self, _: Option<&str>, _: &str) -> bool {
            true
        }
        fn may_subscribe(&self, _: Option<&str>, _: &str) -> bool {
            true
        }
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let gate = Gate::new(Arc::new(Everybody));
        let address = |n: u8| IpAddr::from(Ipv4Addr::new(127, 0, 0, n));
        let mut places: Vec<_> = (0..STRANGERS_OF_ONE_MAX).map(|_| gate.admit(address(1)).unwrap()).collect();
        assert!(gate.admit(address(1)).is_none());
        places.extend((0..STRANGERS_OF_ONE_MAX).map(|_| gate.admit(address(2)).unwrap()));
        assert!(gate.admit(address(3)).is_none(), "the house is full");
        places.pop();
        assert!(gate.admit(address(3)).is_some());
        places.clear();
        let strangers = gate.strangers.lock().unwrap();
        assert_eq!((strangers.n_all, strangers.by_address.len()), (0, 0));
    }
}
