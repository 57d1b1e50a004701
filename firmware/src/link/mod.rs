//! The link to the gateway: what is resent when, how long to wait before the next attempt, and how the MQTT session is
//! set up. Decisions are cores without I/O on their own time line; [`crate::run`] moves the bytes.
//!
//! | | |
//! |---|---|
//! | client id, user | the node's id |
//! | password | [`giot_shared::wire::broker_password`] |
//! | session | clean start, expiry 0: no broker can queue an old command |
//! | will | `offline`, retained, on `…/status`; `online`, retained, after connecting |
//! | subscription | `…/down`, QoS 1 |
//! | publications | `…/up`, QoS 1 |

pub mod backoff;
pub mod session;
#[cfg(feature = "embassy-net")]
pub mod tcp;
pub mod window;

/// The link's own time line, ms since an arbitrary moment: the one on which the MQTT client keeps its keep-alive. It is
/// not the node's uptime, which a simulated board may run faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkMs(pub u64);

impl LinkMs {
    /// This moment plus `ms`, saturating.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}
