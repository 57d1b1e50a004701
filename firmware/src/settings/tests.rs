//! What survives a reset, and what becomes of a spoilt map.

use super::kept::LOST_TAILS_MAX;
use super::*;
use crate::nor::{Nor, Power, now_or_never};
use giot_shared::ids::{CommandId, Position};
use giot_shared::wire::ResetCause;
use std::vec::Vec;

fn open(flash: &Nor) -> Settings<Nor> {
    Settings::open(flash.clone()).expect("a partition")
}

#[test]
fn values_survive_a_reset() {
    now_or_never(async {
        let flash = Nor::new(2, &Power::default());
        let mut running = heapless::Vec::new();
        for valve in 0..8 {
            let command = (valve % 2 == 0).then_some(CommandId(u64::MAX - u64::from(valve)));
            running.push(Running { valve: ValveId(valve), command }).expect("room");
        }
        let released = Position { epoch: u32::MAX, seq: 7 };
        let kept = Kept { counter: u64::MAX, running, made: Some(released) };
        let tails: LostTails =
            (1..).map(|epoch| LostTail { epoch, to: u32::MAX }).take(LOST_TAILS_MAX).collect();
        let mut settings = open(&flash);
        assert_eq!(settings.kept().await, Kept::default());
        assert_eq!(settings.next_epoch(0).await, Ok(1));
        settings.store_kept(&kept).await.expect("stored");
        settings.store_released(released).await.expect("stored");
        settings.store_lost_tails(&tails).await.expect("stored");
        let mut settings = open(&flash);
        assert_eq!(settings.next_epoch(0).await, Ok(2));
        assert_eq!(settings.kept().await, kept);
        assert_eq!(settings.released().await, released);
        assert_eq!(settings.lost_tails().await, tails);
    });
}

/// The cause was lost with the boot.
#[test]
fn why_boots_began_is_kept_until_the_gateway_is_met() {
    let note = async |flash: &Nor, epoch, cause| {
        let unmet = open(flash).note_boot(epoch, cause).await;
        unmet.iter().map(|boot| (boot.epoch, boot.cause)).collect::<Vec<_>>()
    };
    now_or_never(async {
        use ResetCause::{Panic, PowerOn, Sleep, Software, Watchdog};
        let flash = Nor::new(2, &Power::default());
        assert_eq!(note(&flash, 1, PowerOn).await, []);
        assert_eq!(note(&flash, 2, Watchdog).await, [(1, PowerOn)]);
        // The boot goes on, and no waking up is one.
        assert_eq!(note(&flash, 2, Sleep).await, [(1, PowerOn), (2, Watchdog)]);
        assert_eq!(note(&flash, 4, Panic).await, [(1, PowerOn), (2, Watchdog)]);
        let mut settings = open(&flash);
        assert_eq!(settings.note_boot(5, Software).await.len(), 3);
        settings.forget_boots().await;
        assert_eq!(note(&flash, 6, Sleep).await, []);
        for epoch in 7..30 {
            note(&flash, epoch, Panic).await;
        }
        let last: Vec<_> = (22..30).map(|epoch| (epoch, Panic)).collect();
        assert_eq!(note(&flash, 30, PowerOn).await, last);
    });
}

#[test]
fn epochs_rise_for_ever_and_above_every_floor() {
    now_or_never(async {
        let flash = Nor::new(2, &Power::default());
        for want in 1..=300 {
            assert_eq!(open(&flash).next_epoch(0).await, Ok(want), "pages are reused");
        }
        assert_eq!(open(&flash).next_epoch(1000).await, Ok(1001));
        open(&flash).raise_epoch(5000).await.expect("stored");
        assert_eq!(open(&flash).next_epoch(0).await, Ok(5001));
    });
}

#[test]
fn a_spoilt_map_begins_anew_above_the_floor() {
    now_or_never(async {
        let flash = Nor::new(2, &Power::default());
        flash.scramble();
        let mut settings = open(&flash);
        assert_eq!(settings.lost_tails().await, LostTails::new());
        assert_eq!(settings.next_epoch(41).await, Ok(42));
        assert_eq!(open(&flash).next_epoch(0).await, Ok(43));
    });
}

/// At each word of a write the old value or the new one is there afterwards, and never a third.
#[test]
fn a_power_cut_leaves_the_old_or_the_new_value() {
    now_or_never(async {
        for cut_at in 1.. {
            let power = Power::default();
            let flash = Nor::new(2, &power);
            let old = Kept { counter: 7, ..Kept::default() };
            let new = Kept { counter: 8, ..Kept::default() };
            open(&flash).store_kept(&old).await.expect("stored");
            power.cut_at(cut_at);
            let stored = open(&flash).store_kept(&new).await;
            power.on();
            let found = open(&flash).kept().await;
            if stored.is_ok() {
                assert_eq!(found, new);
                assert!(cut_at > 3, "there was something to cut");
                break;
            }
            assert!(found == old || found == new, "cut at {cut_at}: {found:?}");
        }
    });
}

#[test]
fn one_page_is_too_few() {
    let opened = Settings::open(Nor::new(1, &Power::default()));
    assert_eq!(opened.err(), Some(SettingsError::Partition));
}
