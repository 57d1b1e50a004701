//! How much room the disk of a store has, and what that is worth.
//!
//! Must not make room. A full disk loses nothing that was acknowledged (`writer`): nodes keep what is not, and go on when there is room
//! again.

use std::path::Path;

/// Room that a store may need at once, bytes: 64 MiB of readings that wait for folding, 32 MiB of log, and as much again while it folds.
pub const DISK_FREE_MIN: u64 = 128 << 20;

/// Below this nothing can be stored at all, bytes: one commit of a busy gateway.
const DISK_FULL: u64 = 1 << 20;

/// The room of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskRoom {
    /// What a program without privileges may still write, bytes.
    pub free_bytes: u64,
    /// What that is worth.
    pub state: DiskState,
}

/// What the room of a disk is worth to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// Enough for what may come at once.
    Ok,
    /// Less than [`DISK_FREE_MIN`].
    Low,
    /// Less than a commit needs (1 MiB): nothing is stored.
    Full,
}

impl DiskRoom {
    /// Of the disk that holds `dir`.
    ///
    /// # Errors
    /// The system does not say.
    pub fn of(dir: &Path) -> std::io::Result<Self> {
        let disk = rustix::fs::statvfs(dir)?;
        Ok(Self::judge(disk.f_bavail.saturating_mul(disk.f_frsize)))
    }

    fn judge(free_bytes: u64) -> Self {
        let state = match free_bytes {
            0..DISK_FULL => DiskState::Full,
            DISK_FULL..DISK_FREE_MIN => DiskState::Low,
            DISK_FREE_MIN.. => DiskState::Ok,
        };
        Self { free_bytes, state }
    }
}

impl DiskState {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Low => "low",
            Self::Full => "full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_judged_by_what_a_store_may_need() {
        for (free_bytes, word) in [
            (0, "full"),
            (DISK_FULL - 1, "full"),
            (DISK_FULL, "low"),
            (DISK_FREE_MIN - 1, "low"),
            (DISK_FREE_MIN, "ok"),
        ] {
            assert_eq!(DiskRoom::judge(free_bytes).state.word(), word, "{free_bytes}");
        }
    }
}
