//! Locks on zones after a repair of the store that could not save all of their memories.
//!
//! What is not known any more may have been a lock, a fault, a suspension, or that a program was switched off: water would flow that
//! somebody had forbidden. So every zone that may be concerned is locked, and a person who has looked unlocks it.

use super::memory::{FARM_ROW, memory_to_json, program_row};
use giot_engine::{Lock, Memory, Plan};
use giot_store::{Batch, LOST_MEMORY, MEMORY_DOUBT_KEY, Reader, Writer};
use std::collections::BTreeSet;

/// Who locks.
const BY: &str = "giot store repair";
/// Why, in both languages: a lock's note is shown as it is.
const NOTE: &str = "Bộ nhớ của khu không chắc sau khi sửa kho: xem khu có bị khóa, lỗi hay tạm dừng trước đó không, rồi mở khóa / \
    the zone's memory is in doubt after a repair: see whether it was locked, faulty or paused before, then unlock";

/// Locks what is in doubt, before the engine begins, and keeps it so.
///
/// # Errors
/// When the store cannot be read or does not take the locks.
pub(super) async fn lock(
    memory: &mut Memory,
    rows: &BTreeSet<String>,
    plan: &Plan,
    (reader, writer): (&Reader, &Writer),
) -> anyhow::Result<()> {
    let Some(doubt) = reader.meta(MEMORY_DOUBT_KEY)? else { return Ok(()) };
    let locked = lock_doubtful(memory, rows, plan, &doubt);
    if locked.is_empty() {
        return Ok(());
    }
    let zones: Vec<&str> = locked.iter().map(|(zone, _)| zone.as_str()).collect();
    tracing::warn!(
        ?zones,
        "locked, because a repair of the store could not save all memories: look, then unlock"
    );
    let meta = vec![(MEMORY_DOUBT_KEY.to_owned(), "[]".to_owned())];
    writer.commit(Batch { memory: locked, meta, ..Batch::default() }).await?;
    Ok(())
}

/// Locks what is in doubt; gives the rows that keep it so. `doubt` is the list that the repair left, `rows` are all that the store has.
fn lock_doubtful(
    memory: &mut Memory,
    rows: &BTreeSet<String>,
    plan: &Plan,
    doubt: &str,
) -> Vec<(String, String)> {
    let names: BTreeSet<String> = match serde_json::from_str(doubt) {
        Ok(names) => names,
        Err(_) => [LOST_MEMORY.to_owned()].into(),
    };
    if names.is_empty() {
        return Vec::new();
    }
    // Of the farm, a program or a source: all of its zones.
    let is_lacking = || {
        let programs = plan.programs.keys().map(program_row);
        programs.chain([FARM_ROW.to_owned()]).any(|row| !rows.contains(&row))
    };
    let is_all = names.iter().any(|name| name.contains('/')) || names.contains(LOST_MEMORY) && is_lacking();
    let mut kept = Vec::new();
    for zone in plan.zones.keys() {
        // One without a memory may be the one whose name has changed, or was lost.
        if is_all || names.contains(zone.as_str()) || !memory.zones.contains_key(zone) {
            let memory = memory.zones.entry(zone.clone()).or_default();
            memory.lock.get_or_insert_with(|| Lock { by: BY.to_owned(), note: NOTE.to_owned() });
            kept.push((zone.to_string(), memory_to_json(memory)));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::memory::memory_from_rows;
    use std::collections::BTreeMap;

    fn locked(rows: &[(&str, &str)], doubt: &str) -> Vec<String> {
        let zone = |id: &str, valve: u8| {
            format!(
                "[[zone]]\nid = \"{id}\"\nsource = \"s\"\nautomatic = false\nvalve = {{ node = \"n\", valve = {valve} }}\n"
            )
        };
        let text = format!("[[source]]\nid = \"s\"\n{}{}", zone("a", 0), zone("b", 1));
        let settings = crate::config::compile("giot.toml", &text).expect("valid");
        assert_eq!(settings.plan.zones.len(), 2);
        let rows: BTreeMap<String, String> =
            rows.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
        let names = rows.keys().cloned().collect();
        let mut memory = memory_from_rows(rows);
        let kept = lock_doubtful(&mut memory, &names, &settings.plan, doubt);
        let zones: Vec<String> = kept.iter().map(|(zone, _)| zone.clone()).collect();
        // What is kept is what the next start reads.
        assert!(memory_from_rows(kept).zones.values().all(|memory| memory.lock.is_some()));
        zones
    }

    #[test]
    fn zones_whose_memory_is_in_doubt_are_locked() {
        let whole = r#"{"failures":0}"#;
        let all = [("a", whole), ("b", whole), ("farm/", "{}")];
        assert_eq!(locked(&all, "[]"), [""; 0]);
        assert_eq!(locked(&all, r#"["a"]"#), ["a"]);
        assert_eq!(locked(&all, r#"["gone"]"#), [""; 0], "it is no zone");
        assert_eq!(locked(&all, r#"["program/p"]"#), ["a", "b"]);
        assert_eq!(locked(&all[1..], r#"["?"]"#), ["a"], "the one without a memory");
        assert_eq!(locked(&all[..2], r#"["?"]"#), ["a", "b"], "it may have been the farm's");
        assert_eq!(locked(&[("a", r#"{"lokc":1}"#), all[1], all[2]], r#"["a"]"#), ["a"], "none of ours");
        assert_eq!(locked(&all, "spoilt"), [""; 0], "nothing is missing");
    }
}
