//! What survives a reset, in a flash map that keeps the old value until the new one is whole.
//!
//! | key | value | written |
//! |---|---|---|
//! | 1 | boot counter, u32 LE | first thing of every boot, so that no epoch is used twice |
//! | 2 | command counter u64 LE, then per running valve: valve u8, has command u8, command u64 LE; then, where a valve runs, the last record made: epoch u32 LE, seq u32 LE | before a valve opens, after it closed |
//! | 3 | released position: epoch u32 LE, seq u32 LE | after each acknowledgement |
//! | 4 | per epoch whose last records were dropped: epoch u32 LE, last seq u32 LE; the first may count on for epochs after it | before records are dropped |
//! | 5 | the latching valves of the last plan that ran, a u8 each | before a node of another plan may open a valve |
//! | 6 | per boot that has met no gateway: epoch u32 LE, cause u8 | right after 1, and when the gateway is met |
//! | 7 | the id under which records are made, text | before the first record under it |
//!
//! Wear: a value is 30 bytes at most in the usual case, so two 4 KiB pages take about 250 writes per erase of each; at a
//! thousand writes a day a flash of 100 000 erases lasts longer than the valve.

use core::fmt;
use embedded_storage_async::nor_flash::{MultiwriteNorFlash, NorFlash};
use giot_shared::ids::{CommandId, NodeId, Position, ValveId};
use giot_shared::wire::{ResetCause, UNMET_MAX, UnmetBoot, VALVES_MAX};
use sequential_storage::cache::Cache;
use sequential_storage::cache::key_pointers::ArrayKeyPointers;
use sequential_storage::cache::page_pointers::ArrayPagePointers;
use sequential_storage::cache::page_states::ArrayPageStates;
use sequential_storage::map::{MapConfig, MapStorage};

/// Most pages of the settings partition that are used.
const PAGES_MAX: usize = 8;
/// Most epochs of which a dropped end is remembered; of more, the oldest are told as one.
pub const LOST_TAILS_MAX: usize = 16;
/// Longest value, bytes: [`LOST_TAILS_MAX`] entries of 8.
const VALUE_LEN_MAX: usize = 8 * LOST_TAILS_MAX;
/// Value, key and alignment.
const BUFFER_LEN: usize = VALUE_LEN_MAX + 32;

const KEY_EPOCH: u8 = 1;
const KEY_ORDERS: u8 = 2;
const KEY_RELEASED: u8 = 3;
const KEY_LOST: u8 = 4;
const KEY_LATCHING: u8 = 5;
const KEY_UNMET: u8 = 6;
const KEY_OWNER: u8 = 7;

/// What the node must know about orders after a reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Highest command counter taken.
    pub counter: u64,
    /// The runs that were going on.
    pub running: heapless::Vec<Running, VALVES_MAX>,
    /// The last record that was in flash when they were: the end of each comes after it. `None` without a run, and where a
    /// firmware wrote it that kept no such position.
    pub made: Option<Position>,
}

/// A run that a reset would cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The open valve.
    pub valve: ValveId,
    /// The command that opened it; `None` for the button.
    pub command: Option<CommandId>,
}

/// The last record of an epoch whose end was dropped from an overfull outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostTail {
    /// Boot counter.
    pub epoch: u32,
    /// The last dropped count of that epoch; beyond the counts that it had, as many as epochs between it and the next one lost.
    pub to: u32,
}

/// Dropped ends, in rising order of epochs.
pub type LostTails = heapless::Vec<LostTail, LOST_TAILS_MAX>;

/// Boots that met no gateway, in rising order; the last ones.
pub type Unmet = heapless::Vec<UnmetBoot, UNMET_MAX>;

/// The latching valves of a plan.
pub type Latching = heapless::Vec<ValveId, VALVES_MAX>;

/// The flash did not take or give a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// The partition has fewer than two pages, or pages that the map cannot use.
    Partition,
    /// The flash failed.
    Flash,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partition => "the settings partition needs two erasable pages",
            Self::Flash => "the settings flash failed",
        })
    }
}

impl core::error::Error for SettingsError {}

type MapCache = Cache<ArrayPageStates<PAGES_MAX>, ArrayPagePointers<PAGES_MAX>, ArrayKeyPointers<u8, 7>, u8>;

/// The flash map.
pub struct Settings<F: NorFlash> {
    map: MapStorage<u8, F, MapCache>,
    /// Whether the map was unreadable and was begun anew: counters in it are lost.
    renewed: bool,
    /// Whether boots are kept that met no gateway.
    has_unmet: bool,
}

impl<F: NorFlash> fmt::Debug for Settings<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("renewed", &self.renewed).finish_non_exhaustive()
    }
}

impl<F: MultiwriteNorFlash> Settings<F> {
    /// Opens the map on a whole partition.
    ///
    /// # Errors
    /// [`SettingsError::Partition`].
    pub fn open(flash: F) -> Result<Self, SettingsError> {
        let len = used_len::<F>(&flash, PAGES_MAX).ok_or(SettingsError::Partition)?;
        let config = MapConfig::try_new(0..len).map_err(|_| SettingsError::Partition)?;
        let cache = Cache::new(ArrayPageStates::new(), ArrayPagePointers::new(), ArrayKeyPointers::new());
        Ok(Self { map: MapStorage::new(flash, config, cache), renewed: false, has_unmet: false })
    }

    /// Begins a boot: takes the next epoch, above `floor` too, and writes it before anything else uses it.
    ///
    /// A map that cannot be read is erased: the epoch then goes on above `floor`, and above what the gateway has.
    ///
    /// # Errors
    /// [`SettingsError::Flash`]: the node must not run under an epoch that is not written.
    pub async fn next_epoch(&mut self, floor: u32) -> Result<u32, SettingsError> {
        let stored = match self.fetch::<4>(KEY_EPOCH).await {
            Ok(value) => value.map_or(0, u32::from_le_bytes),
            Err(SettingsError::Partition) => {
                self.map.erase_all().await.map_err(|_| SettingsError::Flash)?;
                self.renewed = true;
                0
            }
            Err(SettingsError::Flash) => return Err(SettingsError::Flash),
        };
        let epoch = stored.max(floor).saturating_add(1);
        self.store(KEY_EPOCH, &epoch.to_le_bytes()).await?;
        Ok(epoch)
    }

    /// The epoch of the last boot, 0 where there was none or nothing is readable.
    pub async fn epoch(&mut self) -> u32 {
        self.fetch::<4>(KEY_EPOCH).await.ok().flatten().map_or(0, u32::from_le_bytes)
    }

    /// Makes the next boot's epoch rise above `floor`.
    ///
    /// # Errors
    /// [`SettingsError::Flash`].
    pub async fn raise_epoch(&mut self, floor: u32) -> Result<(), SettingsError> {
        self.store(KEY_EPOCH, &floor.to_le_bytes()).await
    }

    /// Whether the map was unreadable at this boot and counters are lost.
    #[must_use]
    pub const fn was_renewed(&self) -> bool {
        self.renewed
    }

    /// Reads counter and running valves; what is unreadable counts as never written.
    pub async fn kept(&mut self) -> Kept {
        let mut buffer = [0; BUFFER_LEN];
        let value = self.map.fetch_item::<&[u8]>(&mut buffer, &KEY_ORDERS).await;
        value.ok().flatten().and_then(decode_kept).unwrap_or_default()
    }

    /// Writes counter and running valves; durable when it returns.
    ///
    /// # Errors
    /// [`SettingsError::Flash`]: no valve may open then.
    pub async fn store_kept(&mut self, kept: &Kept) -> Result<(), SettingsError> {
        let mut value: heapless::Vec<u8, VALUE_LEN_MAX> = heapless::Vec::new();
        let full = |_| SettingsError::Flash;
        value.extend_from_slice(&kept.counter.to_le_bytes()).map_err(full)?;
        for run in &kept.running {
            let flags = [run.valve.0, u8::from(run.command.is_some())];
            value.extend_from_slice(&flags).map_err(full)?;
            let command = run.command.map_or(0, |command| command.0);
            value.extend_from_slice(&command.to_le_bytes()).map_err(full)?;
        }
        if let Some(made) = kept.made.filter(|_| !kept.running.is_empty()) {
            value.extend_from_slice(&packed(made).to_le_bytes()).map_err(full)?;
        }
        self.store(KEY_ORDERS, &value).await
    }

    /// Reads the released position.
    pub async fn released(&mut self) -> Position {
        let value = self.fetch::<8>(KEY_RELEASED).await.ok().flatten();
        value.map_or(Position::default(), |bytes| position(u64::from_le_bytes(bytes)))
    }

    /// Writes the released position.
    ///
    /// # Errors
    /// [`SettingsError::Flash`].
    pub async fn store_released(&mut self, released: Position) -> Result<(), SettingsError> {
        self.store(KEY_RELEASED, &packed(released).to_le_bytes()).await
    }

    /// Reads the dropped ends.
    pub async fn lost_tails(&mut self) -> LostTails {
        let mut buffer = [0; BUFFER_LEN];
        let value = self.map.fetch_item::<&[u8]>(&mut buffer, &KEY_LOST).await;
        let bytes = value.ok().flatten().unwrap_or_default();
        let entries = bytes.as_chunks::<8>().0.iter();
        entries
            .map(|entry| position(u64::from_le_bytes(*entry)))
            .map(|tail| LostTail { epoch: tail.epoch, to: tail.seq })
            .take(LOST_TAILS_MAX)
            .collect()
    }

    /// Writes the dropped ends.
    ///
    /// # Errors
    /// [`SettingsError::Flash`].
    pub async fn store_lost_tails(&mut self, tails: &LostTails) -> Result<(), SettingsError> {
        let mut value: heapless::Vec<u8, VALUE_LEN_MAX> = heapless::Vec::new();
        for tail in tails {
            let packed = packed(Position { epoch: tail.epoch, seq: tail.to });
            value.extend_from_slice(&packed.to_le_bytes()).map_err(|_| SettingsError::Flash)?;
        }
        self.store(KEY_LOST, &value).await
    }

    /// Notes why this boot began, and gives the boots before it that met no gateway; an epoch that goes on after a sleep may be among
    /// them. A cause that the flash does not take is lost, and holds up nothing.
    pub async fn note_boot(&mut self, epoch: u32, cause: ResetCause) -> Unmet {
        let mut buffer = [0; BUFFER_LEN];
        let value = self.map.fetch_item::<&[u8]>(&mut buffer, &KEY_UNMET).await;
        let unmet = value.ok().flatten().map(decode_unmet).unwrap_or_default();
        self.has_unmet = !unmet.is_empty();
        if cause != ResetCause::Sleep {
            self.has_unmet = true;
            let n_too_many = (unmet.len() + 1).saturating_sub(UNMET_MAX);
            let boots = unmet.iter().skip(n_too_many).copied().chain([UnmetBoot { epoch, cause }]);
            let value: heapless::Vec<u8, { UNMET_LEN * UNMET_MAX }> = boots.flat_map(encode_unmet).collect();
            let _lost = self.store(KEY_UNMET, &value).await;
        }
        unmet
    }

    /// The gateway was met, and told of every boot.
    pub async fn forget_boots(&mut self) {
        if core::mem::take(&mut self.has_unmet) {
            // Told again to a gateway that knows them.
            let _kept = self.store(KEY_UNMET, &[]).await;
        }
    }

    /// Reads the latching valves of the last plan that ran; `None` where no node has run since the flash was erased, or
    /// where the map means nothing.
    ///
    /// # Errors
    /// [`SettingsError`]: nobody knows.
    pub async fn latching(&mut self) -> Result<Option<Latching>, SettingsError> {
        let mut buffer = [0; BUFFER_LEN];
        match self.map.fetch_item::<&[u8]>(&mut buffer, &KEY_LATCHING).await {
            Ok(value) => {
                Ok(value.map(|valves| valves.iter().copied().map(ValveId).take(VALVES_MAX).collect()))
            }
            Err(sequential_storage::Error::Storage { .. }) => Err(SettingsError::Flash),
            Err(_) => Err(SettingsError::Partition),
        }
    }

    /// Writes the latching valves of the plan that runs; durable when it returns.
    ///
    /// # Errors
    /// [`SettingsError::Flash`]: no valve may open then.
    pub async fn store_latching(&mut self, latching: &Latching) -> Result<(), SettingsError> {
        let value: heapless::Vec<u8, VALVES_MAX> = latching.iter().map(|valve| valve.0).collect();
        self.store(KEY_LATCHING, &value).await
    }

    /// The id under which the records that wait were made; `None` where no firmware has written it that knows of ids, or where the map
    /// means nothing.
    pub async fn owner(&mut self) -> Option<NodeId> {
        let mut buffer = [0; BUFFER_LEN];
        let value = self.map.fetch_item::<&[u8]>(&mut buffer, &KEY_OWNER).await.ok().flatten()?;
        core::str::from_utf8(value).ok()?.parse().ok()
    }

    /// Writes the id under which records are made from here on.
    ///
    /// # Errors
    /// [`SettingsError::Flash`]: no record may be made then.
    pub async fn store_owner(&mut self, owner: &NodeId) -> Result<(), SettingsError> {
        self.store(KEY_OWNER, owner.as_str().as_bytes()).await
    }

    /// Forgets what is another id's: runs, boots, dropped ends, and how far its gateway had come. Epoch and count of commands go on.
    ///
    /// # Errors
    /// [`SettingsError::Flash`].
    pub async fn forget_owner(&mut self, counter: u64) -> Result<(), SettingsError> {
        let counter = counter.to_le_bytes();
        // Nothing stands for what was never written.
        let values = [(KEY_ORDERS, &counter[..]), (KEY_LOST, &[]), (KEY_RELEASED, &[]), (KEY_UNMET, &[])];
        for (key, value) in values {
            self.store(key, value).await?;
        }
        Ok(())
    }

    /// Gives the flash back.
    #[must_use]
    pub fn close(self) -> F {
        self.map.destroy().0
    }

    /// [`SettingsError::Partition`] stands for a map that is damaged, as opposed to a flash that does not answer.
    async fn fetch<const N: usize>(&mut self, key: u8) -> Result<Option<[u8; N]>, SettingsError> {
        let mut buffer = [0; BUFFER_LEN];
        match self.map.fetch_item::<&[u8]>(&mut buffer, &key).await {
            Ok(value) => Ok(value.and_then(|bytes| bytes.try_into().ok())),
            Err(sequential_storage::Error::Storage { .. }) => Err(SettingsError::Flash),
            Err(_) => Err(SettingsError::Partition),
        }
    }

    async fn store(&mut self, key: u8, value: &[u8]) -> Result<(), SettingsError> {
        let mut buffer = [0; BUFFER_LEN];
        // The generic form keeps the future free of trait objects, and so sendable on boards that move tasks.
        let stored = self.map.store_item_generic::<&[u8]>(&mut buffer, &key, &value).await;
        stored.map_err(|_| SettingsError::Flash)
    }
}

/// The bytes of a partition that `pages_max` whole pages cover; `None` for a partition without a page.
pub(crate) fn used_len<F: NorFlash>(flash: &F, pages_max: usize) -> Option<u32> {
    let pages = (flash.capacity() / F::ERASE_SIZE).min(pages_max);
    u32::try_from(pages.checked_mul(F::ERASE_SIZE)?).ok().filter(|&len| len > 0)
}

/// Epoch in the low half, seq in the high half.
const fn packed(position: Position) -> u64 {
    position.epoch as u64 | (position.seq as u64) << 32
}

/// Of [`packed`].
fn position(packed: u64) -> Position {
    let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    Position { epoch: half(packed), seq: half(packed >> 32) }
}

/// Epoch and cause of a boot, bytes.
const UNMET_LEN: usize = 5;

fn encode_unmet(boot: UnmetBoot) -> [u8; UNMET_LEN] {
    let [a, b, c, d] = boot.epoch.to_le_bytes();
    [a, b, c, d, boot.cause as u8]
}

fn decode_unmet(bytes: &[u8]) -> Unmet {
    let boots = bytes.as_chunks::<UNMET_LEN>().0.iter();
    boots
        .map(|[epoch @ .., cause]| UnmetBoot {
            epoch: u32::from_le_bytes(*epoch),
            cause: ResetCause::from_wire(*cause).unwrap_or(ResetCause::Unknown),
        })
        .take(UNMET_MAX)
        .collect()
}

fn decode_kept(bytes: &[u8]) -> Option<Kept> {
    let (counter, runs) = bytes.split_first_chunk::<8>()?;
    let (runs, made) = runs.as_chunks::<10>();
    let made = made.try_into().ok().map(|bytes| position(u64::from_le_bytes(bytes)));
    let mut kept = Kept { counter: u64::from_le_bytes(*counter), running: heapless::Vec::new(), made };
    for run in runs {
        let [valve, has_command, command @ ..] = *run;
        let command = (has_command != 0).then(|| CommandId(u64::from_le_bytes(command)));
        kept.running.push(Running { valve: ValveId(valve), command }).ok()?;
    }
    Some(kept)
}
