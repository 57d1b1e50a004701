//! Registering a device from outside the gateway's process, while it runs or not.
//!
//! The one write that does not go through the writer: one device in a transaction of its own, which SQLite orders with
//! the running gateway's commits. The gateway finds the row when it looks for a name that it does not know.

use std::path::Path;

use rusqlite::{TransactionBehavior, params};

use super::commit::PUT_MEMORY;
use super::error::OpenError;
use super::types::DeviceRow;
use super::{log_damage, open};

/// Adds a device to the store in `dir`, creating the store where there is none; `false` when the id is taken, and then
/// nothing is changed. `memory`: a row of the zones' memory that comes with it. Blocks.
///
/// # Errors
/// As [`super::Store::open`], except that a running gateway is no obstacle.
pub fn register_device(
    dir: &Path,
    device: &DeviceRow,
    memory: Option<&(String, String)>,
) -> Result<bool, OpenError> {
    std::fs::create_dir_all(dir)
        .map_err(|source| OpenError::Io { what: format!("make {}", dir.display()), source })?;
    // Held only against a second creation of the file; a running gateway has created it already.
    let lock = match open::lock_folder(dir) {
        Ok(lock) => Some(lock),
        Err(OpenError::InUse { .. }) => None,
        Err(error) => return Err(error),
    };
    if lock.is_none() {
        // Refuses an older schema: it must not be migrated under a gateway that runs on it.
        drop(open::open_reader(dir)?);
    }
    let log = lock.as_ref().map(|lock| log_damage::secure(dir, lock)).transpose()?.flatten();
    let mut conn = open::open_writer(dir, None)?;
    if let Some(log) = log {
        log.keep(&conn);
    }
    let DeviceRow { id, kind, label, key, created_us } = device;
    let mut register = || {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let n_rows = transaction.execute(
            "INSERT INTO device (id, kind, label, key, created_us, crc32)
             VALUES (?1, ?2, ?3, ?4, ?5, row_crc32('device', ?1, ?2, ?3, ?4, ?5)) ON CONFLICT (id) DO NOTHING",
            params![id, kind, label, key, created_us],
        )?;
        if let Some((row, json)) = memory.filter(|_| n_rows == 1) {
            transaction.execute(PUT_MEMORY, params![row, json])?;
        }
        transaction.commit()?;
        Ok(n_rows == 1)
    };
    let is_new = register().map_err(|source| OpenError::Sqlite { what: "register the device", source });
    drop(lock);
    is_new
}
