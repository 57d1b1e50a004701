//! The store's log, read byte by byte: whether all of it can be read that was brought to the disk.
//!
//! SQLite reads its log up to the first frame whose checksum does not hold and takes that for the end ("WAL File Format", sections 2
//! to 5): after a power cut it is. A changed bit looks the same to it, and everything behind is gone without a word. The two differ in
//! what follows:
//!
//! | behind the last readable commit | what it is |
//! |---|---|
//! | zeros, or frames with other salts | room, or what an earlier round of the log left: nothing is missing |
//! | frames with the header's salts, up to [`LATE_COMMITS_MAX`] commits | what was not on the disk when the power went |
//! | frames with the header's salts and more commits | damage: a later commit waited for the disk, and so for the bad frame |
//!
//! Checksums go on from frame to frame, so that each frame can be held against the one before. They are sums: where one bit of a frame
//! is wrong, the difference says which, but for the highest of each word. That, wrong salts before a right checksum, and a wrong checksum before a frame that goes on
//! from the right one are set right; everything else is left for people.
//!
//! Must not write (`log_damage` does). Invariant: what is set right makes the checksum of every frame up to a commit hold.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::pages::{PAGE, u32_at};

/// Commits that may be in the log behind a frame that is not on the disk yet. The writer brings its commits to the disk after at most
/// `UNSYNCED_MAX` (8) and what one step adds to them, and the one that does so is in the log before it has.
const LATE_COMMITS_MAX: u64 = 16;

/// Length of the log's header, bytes.
const HEAD: usize = 32;
/// Length of a frame's header, bytes.
const FRAME_HEAD: usize = 24;
/// What begins a log; the last bit says how its words are ordered.
const MAGIC: u32 = 0x377f_0682;
/// Version of the format.
const VERSION: u32 = 3_007_000;

/// How often a log was begun anew, at most, where its header is sought. Each time stands for 16 MiB that were written.
const ROUNDS_MAX: u32 = 4_096;

/// What a log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogState {
    /// Commits that can be read, with what is set right.
    pub(super) n_commits: u64,
    /// Bytes to write, and where, so that more can be read.
    pub(super) fixes: Vec<(u64, Vec<u8>)>,
    /// The header cannot be read.
    pub(super) has_bad_head: bool,
    /// Frames of the log's present round that cannot be reached.
    pub(super) n_frames_lost: u64,
    /// Commits among them.
    pub(super) n_commits_lost: u64,
    /// The place of the first bad frame, bytes.
    pub(super) bad_at: u64,
    /// They were on the disk.
    pub(super) is_damaged: bool,
}

impl LogState {
    /// True when something is to be told.
    pub(super) fn is_told(&self) -> bool {
        self.is_damaged || !self.fixes.is_empty()
    }
}

/// Two sums over words that depend on the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums(u32, u32);

impl Sums {
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        Some(Self(u32_at(bytes, at)?, u32_at(bytes, at.checked_add(4)?)?))
    }

    fn add(self, bytes: &[u8], is_big: bool) -> Self {
        let word = |word: &[u8]| {
            let word = word.try_into().unwrap_or([0; 4]);
            if is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        bytes.chunks_exact(8).fold(self, |Self(a, b), pair| {
            let (first, second) = pair.split_at(4);
            let a = a.wrapping_add(word(first)).wrapping_add(b);
            Self(a, b.wrapping_add(word(second)).wrapping_add(a))
        })
    }

    fn bytes(self) -> [u8; 8] {
        (u64::from(self.0) << 32 | u64::from(self.1)).to_be_bytes()
    }
}

/// The header of a log.
#[derive(Debug, Clone, Copy)]
struct Head {
    is_big: bool,
    page: usize,
    salts: [u8; 8],
    sums: Sums,
}

impl Head {
    fn parse(bytes: &[u8; HEAD]) -> Option<Self> {
        let magic = u32_at(bytes, 0)?;
        let page = usize::try_from(u32_at(bytes, 8)?).ok()?;
        if magic & !1 != MAGIC || u32_at(bytes, 4)? != VERSION || !page.is_power_of_two() {
            return None;
        }
        let is_big = magic & 1 == 1;
        let sums = Sums(0, 0).add(bytes.get(..24)?, is_big);
        (Sums::at(bytes, 24)? == sums && (512..=65_536).contains(&page)).then_some(Self {
            is_big,
            page,
            salts: bytes.get(16..24)?.try_into().ok()?,
            sums,
        })
    }

    /// The header that this one was before something in it changed: one bit, its checksum, or what every log of ours says.
    fn restore(bytes: &[u8; HEAD], log: &File) -> Option<(Self, [u8; HEAD])> {
        let first = Frame::read(log, HEAD as u64, PAGE).ok()??;
        let bits = (0..24 * 8_usize).map(|bit| {
            let mut tried = *bytes;
            if let Some(byte) = tried.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            tried
        });
        // A bit of the checksum looks like one of the last word.
        let mut parsed = bits.into_iter().filter_map(|tried| Some((Self::parse(&tried)?, tried)));
        if let Some(found) = parsed.find(|(head, _)| first.is_of(head)) {
            return Some(found);
        }
        // The first frame goes on from the header's checksum, and repeats its salts.
        // Only the count of its rounds is known nowhere else.
        (0..ROUNDS_MAX).find_map(|round| {
            let (head, tried) = Self::made(&first, round)?;
            first.holds(&head, head.sums).then_some((head, tried))
        })
    }

    /// The header of a log of ours that begins with a frame.
    fn made(first: &Frame, round: u32) -> Option<(Self, [u8; HEAD])> {
        let mut made = [0; HEAD];
        let fixed = [MAGIC | u32::from(cfg!(target_endian = "big")), VERSION, u32::try_from(PAGE).ok()?];
        for (to, word) in made.chunks_exact_mut(4).zip(fixed.into_iter().chain([round])) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        made.get_mut(16..24)?.copy_from_slice(first.salts());
        let sums = Sums(0, 0).add(made.get(..24)?, cfg!(target_endian = "big"));
        made.get_mut(24..)?.copy_from_slice(&sums.bytes());
        Some((Self::parse(&made)?, made))
    }
}

/// A frame: a page with its header.
#[derive(Debug)]
struct Frame(Vec<u8>);

impl Frame {
    /// `None` at the end of the file.
    fn read(log: &File, at: u64, page: usize) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; FRAME_HEAD + page];
        match log.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(Some(Self(bytes))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn part(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.0.get(range).unwrap_or_default()
    }

    fn number(&self) -> u32 {
        u32_at(&self.0, 0).unwrap_or(0)
    }

    fn is_commit(&self) -> bool {
        u32_at(&self.0, 4) != Some(0)
    }

    fn salts(&self) -> &[u8] {
        self.part(8..16)
    }

    fn sums(&self) -> Sums {
        Sums::at(&self.0, 16).unwrap_or(Sums(0, 0))
    }

    /// The sums up to its end, after those of the frame before.
    fn sums_after(&self, head: &Head, before: Sums) -> Sums {
        before.add(self.part(0..8), head.is_big).add(self.part(FRAME_HEAD..self.0.len()), head.is_big)
    }

    fn is_of(&self, head: &Head) -> bool {
        self.number() != 0 && self.salts() == head.salts
    }

    fn holds(&self, head: &Head, before: Sums) -> bool {
        self.is_of(head) && self.sums() == self.sums_after(head, before)
    }

    /// Sets right what can be.
    fn restore(&mut self, head: &Head, before: Sums, next: Option<&Self>) -> Flaw {
        let sums = self.sums_after(head, before);
        let (at, bytes) = if self.sums() == sums && self.number() != 0 {
            (8, head.salts.to_vec())
        } else if self.salts() != head.salts {
            return Flaw::Unknown;
        } else if next.is_some_and(|next| next.holds(head, sums)) {
            (16, sums.bytes().to_vec())
        } else {
            let Sums(a, b) = self.sums();
            let is_bit_of_sums = (a ^ sums.0).count_ones() + (b ^ sums.1).count_ones() == 1;
            let mut places = self.flipped(head, sums);
            // At the end of the log nobody says whether the checksum is right.
            places.extend((is_bit_of_sums && next.is_none()).then(|| (16, sums.bytes().to_vec())));
            match (places.pop(), places.is_empty()) {
                (None, _) => return Flaw::Unknown,
                (Some(_), false) => return Flaw::OneBit,
                (Some(only), true) => only,
            }
        };
        let mut right = self.0.clone();
        if let Some(place) = right.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
        let right = Self(right);
        if !right.holds(head, before) {
            return Flaw::Unknown;
        }
        *self = right;
        Flaw::Right(at, bytes)
    }

    /// The words in which one bit may be wrong, as they were. A word adds itself to both sums, or to the second, and what follows passes
    /// that on by a known rule; so the difference of the sums tells word and bit. Of the highest bits only the lowest of what was passed
    /// on are left, which repeat: there are several places then.
    fn flipped(&self, head: &Head, sums: Sums) -> Vec<(usize, Vec<u8>)> {
        let Sums(wanted_a, wanted_b) = self.sums();
        let wanted = (wanted_a.wrapping_sub(sums.0), wanted_b.wrapping_sub(sums.1));
        let (mut first, mut second) = ((1_u32, 1_u32), (0_u32, 1_u32));
        let mut found = Vec::new();
        let places = std::iter::once(0).chain((FRAME_HEAD..self.0.len()).step_by(8));
        for place in places.rev() {
            for (at, (a, b)) in [(place, first), (place + 4, second)] {
                let Ok(word) = <[u8; 4]>::try_from(self.part(at..at + 4)) else { continue };
                let word = if head.is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) };
                for bit in 0..32 {
                    let other = word ^ 1 << bit;
                    let change = other.wrapping_sub(word);
                    if (change.wrapping_mul(a), change.wrapping_mul(b)) == wanted {
                        let bytes = if head.is_big { other.to_be_bytes() } else { other.to_le_bytes() };
                        found.push((at, bytes.to_vec()));
                    }
                }
            }
            let pass_on = |(a, b): (u32, u32)| (a.wrapping_add(b), a.wrapping_add(b).wrapping_add(b));
            (first, second) = (pass_on(first), pass_on(second));
        }
        found
    }
}

/// What is wrong with a frame that does not hold.
enum Flaw {
    /// Nothing any more: these bytes of it changed.
    Right(usize, Vec<u8>),
    /// One bit, but not which: no cut of power does that.
    OneBit,
    /// It is the end of the log, or damaged.
    Unknown,
}

/// Looks through a log; nothing is wrong with one that is not there.
///
/// # Errors
/// The file cannot be read.
pub(super) fn look(path: &Path) -> io::Result<LogState> {
    let log = match File::open(path) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LogState::default()),
        Err(error) => return Err(error),
    };
    let mut bytes = [0; HEAD];
    if log.metadata()?.len() < HEAD as u64 {
        return Ok(LogState::default());
    }
    log.read_exact_at(&mut bytes, 0)?;
    let mut state = LogState::default();
    let head = match Head::parse(&bytes) {
        Some(head) => head,
        None => match Head::restore(&bytes, &log) {
            Some((head, right)) => {
                state.fixes.push((0, right.to_vec()));
                head
            }
            None => return without_head(&log),
        },
    };
    walk(&log, &head, state)
}

fn walk(log: &File, head: &Head, mut state: LogState) -> io::Result<LogState> {
    let step = (FRAME_HEAD + head.page) as u64;
    let mut at = HEAD as u64;
    let (mut sums, mut n_right, mut n_open) = (head.sums, 0, 0);
    let mut fixes = std::mem::take(&mut state.fixes);
    while let Some(mut frame) = Frame::read(log, at, head.page)? {
        if !frame.holds(head, sums) {
            let next = Frame::read(log, at + step, head.page)?.filter(|next| next.is_of(head));
            match frame.restore(head, sums, next.as_ref()) {
                Flaw::Right(place, right) => fixes.push((at + place as u64, right)),
                Flaw::OneBit => {
                    state.is_damaged = true;
                    break;
                }
                Flaw::Unknown => break,
            }
        }
        sums = frame.sums();
        n_open += 1;
        if frame.is_commit() {
            state.n_commits += 1;
            (n_right, n_open) = (fixes.len(), 0);
        }
        at += step;
    }
    // What is right up to no commit does not help.
    fixes.truncate(n_right);
    state.fixes = fixes;
    state.bad_at = at;
    let mut n_late = 0;
    let mut before: Option<Sums> = None;
    while let Some(frame) = Frame::read(log, at, head.page)? {
        if frame.is_of(head) {
            state.n_frames_lost += 1;
            state.n_commits_lost += u64::from(frame.is_commit());
            // Of a bad frame nothing is known; one that goes on from the frame before is whole.
            let is_whole = before.is_some_and(|before| frame.holds(head, before));
            n_late += u64::from(is_whole && frame.is_commit());
        }
        before = Some(frame.sums());
        at += step;
    }
    if state.n_commits_lost > 0 {
        state.n_frames_lost += n_open;
    }
    state.is_damaged = n_late > LATE_COMMITS_MAX || state.is_damaged && state.n_commits_lost > 0;
    Ok(state)
}

/// Brings what the commits of a log hold into a copy of its database.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn bring_into(log: &Path, copy: &File) -> io::Result<()> {
    let log = match File::open(log) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut bytes = [0; HEAD];
    if log.read_exact_at(&mut bytes, 0).is_err() {
        return Ok(());
    }
    let Some(head) = Head::parse(&bytes) else { return Ok(()) };
    let (mut at, mut sums, mut open) = (HEAD as u64, head.sums, Vec::new());
    let size = head.page as u64;
    while let Some(frame) = Frame::read(&log, at, head.page)?.filter(|frame| frame.holds(&head, sums)) {
        sums = frame.sums();
        open.push(at);
        at += FRAME_HEAD as u64 + size;
        let n_pages = u32_at(&frame.0, 4).unwrap_or(0);
        if n_pages > 0 {
            for at in open.drain(..) {
                let Some(frame) = Frame::read(&log, at, head.page)? else { break };
                let page = frame.part(FRAME_HEAD..frame.0.len());
                copy.write_all_at(page, u64::from(frame.number().saturating_sub(1)) * size)?;
            }
            copy.set_len(u64::from(n_pages) * size)?;
        }
    }
    Ok(())
}

/// A log whose header cannot be read: SQLite brings it to the disk before any frame, so that frames behind show damage.
fn without_head(log: &File) -> io::Result<LogState> {
    let mut state = LogState { has_bad_head: true, ..LogState::default() };
    let mut salts = None;
    let mut at = HEAD as u64;
    while let Some(frame) = Frame::read(log, at, PAGE)? {
        if frame.number() != 0 && salts.get_or_insert_with(|| frame.salts().to_vec()) == frame.salts() {
            state.n_frames_lost += 1;
            state.n_commits_lost += u64::from(frame.is_commit());
        }
        at += (FRAME_HEAD + PAGE) as u64;
    }
    state.is_damaged = state.n_commits_lost > 0;
    Ok(state)
}
