//! The name and password of the wireless network that a node joins.
//!
//! | field | limits |
//! |---|---|
//! | name | 1 to 32 bytes (IEEE 802.11-2020 §9.4.2.2) |
//! | password | none for an open network, else 8 to 63 printable ASCII characters (§J.4.1) |
//!
//! The password is never printed.

use core::fmt;

/// Longest name of a network, bytes.
pub const SSID_LEN_MAX: usize = 32;
/// Shortest and longest password, characters.
pub const PASSWORD_LEN: core::ops::RangeInclusive<usize> = 8..=63;

/// A network to join.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    ssid: heapless::String<SSID_LEN_MAX>,
    password: heapless::String<{ *PASSWORD_LEN.end() }>,
}

impl Wifi {
    /// A network; an empty password is an open one. `None` for what no network can be called or protected with.
    #[must_use]
    pub fn new(ssid: &str, password: &str) -> Option<Self> {
        let printable = password.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let fits = password.is_empty() || PASSWORD_LEN.contains(&password.len());
        if ssid.is_empty() || !printable || !fits {
            return None;
        }
        let ssid = heapless::String::try_from(ssid).ok()?;
        Some(Self { ssid, password: heapless::String::try_from(password).ok()? })
    }

    /// Its name.
    #[must_use]
    pub fn ssid(&self) -> &str {
        &self.ssid
    }

    /// Its password, empty for an open network.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Wifi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wifi").field("ssid", &self.ssid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ssid: &str, password: &str, good: bool) {
        let wifi = Wifi::new(ssid, password);
        assert_eq!(wifi.is_some(), good, "{ssid:?} {password:?}");
        if let Some(wifi) = wifi {
            assert_eq!((wifi.ssid(), wifi.password()), (ssid, password));
        }
    }

    #[test]
    fn names_and_passwords_have_their_limits() {
        check("Vườn nhà Lan", "bao nhieu nuoc?", true);
        check("open", "", true);
        check("", "12345678", false);
        check("s", "1234567", false);
        check("s", "12345678", true);
        let longest = "p".repeat(63);
        check(&"s".repeat(32), &longest, true);
        check(&"s".repeat(33), &longest, false);
        check("s", &"p".repeat(64), false);
        check("s", "mật khẩu dài", false);
    }

    #[test]
    fn a_password_is_not_printed() {
        let text = std::format!("{:?}", Wifi::new("orchard", "very secret").expect("a network"));
        assert!(text.contains("orchard") && !text.contains("secret"), "{text}");
    }
}
