//! Settings from over the air: tried for one boot, kept when the gateway was reached with them, given up otherwise.
//!
//! | bytes | content |
//! |---|---|
//! | 0 | state |
//! | 1..9 | number of the command, u64 little endian |
//! | 9..13 | time in which the gateway must be reached, s u32 |
//! | 13.. | the changed settings, lines of `KEY=VALUE`; none once they are merged or given up |
//!
//! | state | at the next boot |
//! |---|---|
//! | 1 waiting | becomes 2: this boot tries them |
//! | 2 tried | the boot ended before the gateway was reached: given up, reset |
//! | 3 confirmed | merged into the map, again if a power cut came between |
//! | 4 over, with outcome | to be told to the gateway |
//! | 5 told | nothing |
//!
//! Each change of state is one write of one value, so that a power cut leaves the state before or after it. What a person
//! set up changes only when the state is 3, and can be merged any number of times.

use super::{Fields, InstallError, Installation, KEY_GIVEN_UP, KEY_ID, KEY_TRIAL, Map, Value};
use crate::settings::words;
use embedded_storage_async::nor_flash::{MultiwriteNorFlash, NorFlash};
use giot_shared::ids::{CommandId, NODE_ID_LEN_MAX, NodeId};
use giot_shared::wire::{Settings, SettingsEvent, SettingsOutcome, SettingsText};

/// State, command and time.
pub(super) const HEAD_LEN: usize = 13;

const WAITING: u8 = 1;
const TRIED: u8 = 2;
const CONFIRMED: u8 = 3;
/// The outcome is added to this.
const OVER: u8 = 32;
const TOLD: u8 = 5;

/// What settings from over the air mean for this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// None were ever sent.
    None,
    /// This boot runs with them until the gateway is reached, or for so many seconds.
    Running {
        /// The command that brought them.
        command: CommandId,
        /// Time in which the gateway must be reached, s.
        within_s: u32,
    },
    /// What became of the last ones is to be told.
    Over(SettingsEvent),
    /// The last ones were told; nothing is to be done.
    Told(CommandId),
}

/// The partition of what a person set up, as the running node uses it.
#[derive(Debug)]
pub struct Setup<F> {
    flash: F,
}

/// Whether settings wait for their boot, are tried, or are not merged yet. Not by way of [`Setup`], which would be compiled once more for a borrowed flash.
pub(crate) async fn is_on_trial<F: MultiwriteNorFlash>(flash: F) -> bool {
    let Ok(mut map) = Map::open(flash) else { return false };
    matches!(map.value(KEY_TRIAL, Entry::read).await, Ok(Some(Entry { state: WAITING..=CONFIRMED, .. })))
}

/// The stored form of an outcome that the gateway of this node does not know.
pub(super) async fn untold<F: NorFlash>(map: &mut Map<F>, id: &NodeId) -> Option<[u8; HEAD_LEN]> {
    let made = map.text::<NODE_ID_LEN_MAX>(KEY_ID).await.ok()??;
    let entry = map.value(KEY_TRIAL, |fields| fields.array::<HEAD_LEN>()).await.ok()??;
    Some(entry).filter(|[state, ..]| *state > OVER && made == *id.as_str())
}

/// The stored form.
struct Entry {
    state: u8,
    command: CommandId,
    within_s: u32,
    text: Option<SettingsText>,
}

impl<F: MultiwriteNorFlash> Setup<F> {
    /// On its partition.
    pub const fn new(flash: F) -> Self {
        Self { flash }
    }

    /// Begins a boot: gives the settings to run with, those on trial included.
    ///
    /// # Errors
    /// [`InstallError`].
    pub async fn boot(&mut self) -> Result<Installation, InstallError> {
        let base = Installation::load(&mut self.flash).await?;
        let Some(mut entry) = self.entry().await? else { return Ok(base) };
        match entry.state {
            WAITING => {
                let Some(changed) = entry.apply(&base) else {
                    self.over(&mut entry, SettingsOutcome::NotKept).await?;
                    return Ok(base);
                };
                entry.state = TRIED;
                self.keep(&entry).await?;
                Ok(changed)
            }
            TRIED => {
                self.over(&mut entry, SettingsOutcome::Reset).await?;
                Ok(base)
            }
            CONFIRMED => self.merge(&mut entry, base).await,
            _ => Ok(base),
        }
    }

    /// What settings from over the air mean for this boot, after [`Self::boot`].
    ///
    /// # Errors
    /// [`InstallError`].
    pub async fn trial(&mut self) -> Result<Trial, InstallError> {
        let Some(Entry { state, command, within_s, .. }) = self.entry().await? else {
            return Ok(Trial::None);
        };
        Ok(match (state, state.checked_sub(OVER).and_then(SettingsOutcome::from_wire)) {
            (TRIED, _) => Trial::Running { command, within_s },
            (_, Some(outcome)) => Trial::Over(SettingsEvent { command, outcome }),
            (_, None) => Trial::Told(command),
        })
    }

    /// Keeps settings for the next boot; `false` when they are none that this firmware knows.
    ///
    /// # Errors
    /// [`InstallError`]; [`InstallError::Absent`] when a person has given the board another id than `id`: they are not meant for that.
    pub async fn begin(&mut self, settings: &Settings, id: &NodeId) -> Result<bool, InstallError> {
        let base = Installation::load(&mut self.flash).await?;
        if base.config.id != *id {
            return Err(InstallError::Absent);
        }
        let entry = Entry {
            state: WAITING,
            command: settings.command,
            within_s: settings.within_s,
            text: Some(settings.text),
        };
        if entry.apply(&base).is_none() {
            return Ok(false);
        }
        self.keep(&entry).await?;
        Ok(true)
    }

    /// The trial of this boot is over: merges the settings, or gives them up.
    ///
    /// # Errors
    /// [`InstallError`]; the next boot then finds the trial as it was before, or confirmed.
    pub async fn settle(&mut self, outcome: SettingsOutcome) -> Result<(), InstallError> {
        let Some(mut entry) = self.entry().await?.filter(|entry| entry.state == TRIED) else { return Ok(()) };
        if outcome != SettingsOutcome::Confirmed {
            return self.over(&mut entry, outcome).await;
        }
        entry.state = CONFIRMED;
        self.keep(&entry).await?;
        let base = Installation::load(&mut self.flash).await?;
        self.merge(&mut entry, base).await.map(|_| ())
    }

    /// Gives back settings on trial that the board cannot run by; `false` when there are none. Where the flash fails, the next boot finds
    /// a trial that has ended with a reset, and gives them back itself.
    pub(super) async fn give_back(&mut self) -> bool {
        let Ok(Some(mut entry)) = self.entry().await else { return false };
        if entry.state != TRIED {
            return false;
        }
        let _or_by_the_next_boot = self.over(&mut entry, SettingsOutcome::NotKept).await;
        true
    }

    /// The id whose records were given up with what was set up.
    pub(super) async fn given_up(&mut self) -> Option<NodeId> {
        let id = Map::open(&mut self.flash).ok()?.text::<NODE_ID_LEN_MAX>(KEY_GIVEN_UP).await.ok()??;
        id.parse().ok()
    }

    /// The outcome has its record.
    ///
    /// # Errors
    /// [`InstallError`]; it is recorded once more after the next boot then.
    pub async fn told(&mut self) -> Result<(), InstallError> {
        let Some(mut entry) = self.entry().await?.filter(|entry| entry.state > OVER) else { return Ok(()) };
        entry.state = TOLD;
        self.keep(&entry).await
    }

    async fn merge(&mut self, entry: &mut Entry, base: Installation) -> Result<Installation, InstallError> {
        let Some(changed) = entry.apply(&base) else {
            self.over(entry, SettingsOutcome::NotKept).await?;
            return Ok(base);
        };
        changed.write(&mut Map::open(&mut self.flash)?).await?;
        self.over(entry, SettingsOutcome::Confirmed).await?;
        Ok(changed)
    }

    async fn over(&mut self, entry: &mut Entry, outcome: SettingsOutcome) -> Result<(), InstallError> {
        entry.state = OVER.saturating_add(outcome as u8);
        entry.text = None;
        self.keep(entry).await
    }

    async fn entry(&mut self) -> Result<Option<Entry>, InstallError> {
        // What other firmware left here must not keep a node from running.
        let read = Map::open(&mut self.flash)?.value(KEY_TRIAL, Entry::read).await;
        read.or_else(|error| if matches!(error, InstallError::Value(_)) { Ok(None) } else { Err(error) })
    }

    async fn keep(&mut self, entry: &Entry) -> Result<(), InstallError> {
        let text = entry.text.as_ref().map_or("", SettingsText::as_str);
        let value = Value::default()
            .bytes(&[entry.state])
            .bytes(&entry.command.0.to_le_bytes())
            .u32(entry.within_s)
            .bytes(text.as_bytes());
        Map::open(&mut self.flash)?.put(KEY_TRIAL, &value.0).await
    }
}

impl Entry {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (state, command, within_s) = (fields.u8()?, CommandId(fields.u64()?), fields.u32()?);
        let text = core::str::from_utf8(core::mem::take(&mut fields.0)).ok()?;
        Some(Self { state, command, within_s, text: SettingsText::new(text).filter(|_| !text.is_empty()) })
    }

    fn apply(&self, base: &Installation) -> Option<Installation> {
        words::changed(base, self.text.as_ref()?.as_str()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NoNode, Start};
    use super::*;
    use crate::nor::{Nor, Power, now_or_never};
    use crate::settings::rekey;
    use giot_shared::time::UnixMs;
    use giot_shared::wire::{NodeKey, SALT_LEN, next_key};
    use std::string::{String, ToString};
    use std::{format, vec};

    const OURS: CommandId = CommandId(1 << 63 | 5);

    fn id() -> NodeId {
        "v01".parse().expect("an id")
    }

    fn flash(power: &Power) -> Nor {
        let flash = Nor::new(4, power);
        let made = Installation::new(id(), NodeKey([7; 32]), "10.0.0.1:1883");
        now_or_never(made.expect("short").store(flash.clone())).expect("stored");
        flash
    }

    fn settings(text: &str) -> Settings {
        let text = SettingsText::new(text).expect("short");
        Settings { command: OURS, text, issued_at: UnixMs(0), ttl_s: 60, within_s: 30 }
    }

    fn broker(flash: &Nor) -> String {
        let installed = now_or_never(Installation::load(flash.clone())).expect("set up");
        installed.broker.as_str().to_string()
    }

    /// Boots: the broker of this boot, and where the trial stands.
    fn boot(flash: &Nor) -> (String, Trial) {
        let mut setup = Setup::new(flash.clone());
        let installed = now_or_never(setup.boot()).expect("set up");
        (installed.broker.as_str().to_string(), now_or_never(setup.trial()).expect("readable"))
    }

    const OLD: &str = "10.0.0.1:1883";
    const NEW: &str = "10.0.0.2:1883";

    fn over(outcome: SettingsOutcome) -> Trial {
        Trial::Over(SettingsEvent { command: OURS, outcome })
    }

    #[test]
    fn a_trial_is_for_one_boot_and_is_kept_when_confirmed() {
        let flash = flash(&Power::default());
        let mut setup = Setup::new(flash.clone());
        assert_eq!(boot(&flash), (OLD.to_string(), Trial::None));
        let begin = |text: &str| now_or_never(Setup::new(flash.clone()).begin(&settings(text), &id()));
        assert_eq!(begin("brokr=1"), Ok(false));
        assert_eq!(begin(&format!("broker={NEW}")), Ok(true));
        assert_eq!(broker(&flash), OLD, "nothing has changed yet");
        assert_eq!(boot(&flash), (NEW.to_string(), Trial::Running { command: OURS, within_s: 30 }));
        now_or_never(setup.settle(SettingsOutcome::Confirmed)).expect("kept");
        assert_eq!(broker(&flash), NEW);
        assert_eq!(boot(&flash), (NEW.to_string(), over(SettingsOutcome::Confirmed)));
        now_or_never(setup.told()).expect("kept");
        assert_eq!(boot(&flash), (NEW.to_string(), Trial::Told(OURS)));
        now_or_never(setup.settle(SettingsOutcome::Unreachable)).expect("nothing to settle");
        assert_eq!(boot(&flash), (NEW.to_string(), Trial::Told(OURS)));
    }

    #[test]
    fn a_trial_that_fails_leaves_what_was() {
        let flash = flash(&Power::default());
        let mut setup = Setup::new(flash.clone());
        let change = settings(&format!("broker={NEW}"));
        assert_eq!(now_or_never(setup.begin(&change, &id())), Ok(true));
        assert_eq!(boot(&flash).0, NEW);
        now_or_never(setup.settle(SettingsOutcome::Unreachable)).expect("kept");
        assert_eq!(boot(&flash), (OLD.to_string(), over(SettingsOutcome::Unreachable)));
        // A boot that ends before the gateway was reached.
        assert_eq!(now_or_never(setup.begin(&change, &id())), Ok(true));
        assert_eq!(boot(&flash).0, NEW);
        assert_eq!(boot(&flash), (OLD.to_string(), over(SettingsOutcome::Reset)));
        assert_eq!(
            boot(&flash),
            (OLD.to_string(), over(SettingsOutcome::Reset)),
            "told until it is recorded"
        );
    }

    #[test]
    fn settings_for_one_id_do_not_become_those_of_another() {
        let flash = flash(&Power::default());
        let mut made = now_or_never(Installation::load(flash.clone())).expect("set up");
        made.config.id = "n77".parse().expect("an id");
        now_or_never(made.store(flash.clone())).expect("stored");
        let change = settings(&format!("broker={NEW}"));
        let mut setup = Setup::new(flash.clone());
        assert_eq!(now_or_never(setup.begin(&change, &id())), Err(InstallError::Absent));
        assert_eq!(boot(&flash), (OLD.to_string(), Trial::None));
        assert_eq!(now_or_never(setup.begin(&change, &made.config.id)), Ok(true));
    }

    /// As a board that has neither such a valve nor a network without a name.
    fn fit(made: &Installation) -> Result<usize, &'static str> {
        let lacks = made.config.valves.iter().any(|plan| plan.valve.0 > 1);
        if lacks { Err("no such valve") } else { Ok(made.config.valves.len()) }
    }

    fn start(flash: &Nor, for_setup: bool) -> Start<usize> {
        let blank = || Nor::new(2, &Power::default());
        let held = crate::run::Partitions {
            settings: blank(),
            readings: blank(),
            events: blank(),
            installation: None,
        };
        now_or_never(Setup::new(flash.clone()).start(for_setup, held, fit))
    }

    #[test]
    fn settings_that_the_board_cannot_run_are_given_back_before_the_boot_ends() {
        let flash = flash(&Power::default());
        let mut setup = Setup::new(flash.clone());
        let begin = |text: &str| now_or_never(Setup::new(flash.clone()).begin(&settings(text), &id()));
        assert_eq!(begin("valve.1=relay,60,60\nvalve.9=latching,60,60"), Ok(true));
        assert!(matches!(start(&flash, false), Start::Again("no such valve")));
        assert!(matches!(start(&flash, false), Start::Node(_, 0)), "the boot that follows runs as before");
        assert_eq!(now_or_never(setup.trial()), Ok(over(SettingsOutcome::NotKept)));
        // What it can run is tried as ever, and asked for by a person it waits for him.
        assert_eq!(begin("valve.1=relay,60,60"), Ok(true));
        assert!(matches!(start(&flash, true), Start::Person(Some(_), NoNode::Asked)));
        assert!(matches!(start(&flash, false), Start::Node(_, 0)));
        assert_eq!(begin("valve.1=relay,60,60"), Ok(true));
        assert!(matches!(start(&flash, false), Start::Node(_, 1)));
        // A person's own mistake waits for a person.
        let made = now_or_never(Installation::load(flash.clone())).expect("set up");
        let wrong = words::changed(&made, "valve.2=relay,60,60").expect("known");
        now_or_never(wrong.store(flash.clone())).expect("stored");
        for _ in 0..3 {
            assert!(matches!(start(&flash, false), Start::Person(Some(_), NoNode::Unfit("no such valve"))));
        }
        let empty = Nor::new(4, &Power::default());
        let absent = NoNode::Install(InstallError::Absent);
        assert!(matches!(start(&empty, false), Start::Person(None, why) if why == absent));
    }

    /// By way of `setup` a person ended a trial and wrote other settings, and the gateway never heard what became of its own.
    #[test]
    fn what_became_of_settings_outlives_what_a_person_writes() {
        let flash = flash(&Power::default());
        let mut setup = Setup::new(flash.clone());
        assert_eq!(now_or_never(setup.begin(&settings("broker=10.0.0.2:1883"), &id())), Ok(true));
        assert_eq!(boot(&flash), (NEW.into(), Trial::Running { command: OURS, within_s: 30 }));
        assert!(matches!(start(&flash, true), Start::Person(Some(_), NoNode::Asked)));
        let store = |word: &str, value: &str| {
            let mut made = now_or_never(Installation::load(flash.clone())).expect("set up");
            words::set(&mut made, word, value).expect("known");
            now_or_never(made.store(flash.clone())).expect("stored");
        };
        store("broker", "10.0.0.3:1883");
        assert_eq!(boot(&flash), ("10.0.0.3:1883".into(), over(SettingsOutcome::Reset)));
        // Another node's gateway knows nothing of them.
        store("node", "v02");
        assert_eq!(boot(&flash).1, Trial::None);
        // What was told is forgotten.
        let other = "v02".parse().expect("an id");
        assert_eq!(now_or_never(setup.begin(&settings("broker=10.0.0.2:1883"), &other)), Ok(true));
        boot(&flash);
        boot(&flash);
        now_or_never(setup.told()).expect("kept");
        store("baud", "9600");
        assert_eq!(boot(&flash).1, Trial::None);
    }

    /// Also where the power fails at any write of the way there.
    #[test]
    fn settings_that_the_board_cannot_run_never_leave_it_without_a_node() {
        for step in 1.. {
            let power = Power::default();
            let flash = flash(&power);
            let change = settings("valve.9=latching,60,60");
            assert_eq!(now_or_never(Setup::new(flash.clone()).begin(&change, &id())), Ok(true));
            power.cut_at(step);
            let first = start(&flash, false);
            let is_cut = power.is_cut();
            power.on();
            assert!(is_cut || matches!(first, Start::Again(_)), "cut at {step}: {first:?}");
            let mut n_again = 0;
            while let Start::Again(_) = start(&flash, false) {
                n_again += 1;
                assert!(n_again < 2, "cut at {step}");
            }
            assert!(matches!(start(&flash, false), Start::Node(_, 0)), "cut at {step}");
            if !is_cut {
                assert!(step > 2, "{step} steps");
                return;
            }
        }
    }

    /// The power fails at every single write: the settings are the old ones or the new ones, whole, and the node always
    /// boots; what was confirmed to the gateway stays.
    #[test]
    fn a_power_cut_at_any_write_leaves_settings_that_work() {
        let mut n_cuts = 0;
        for step in 1.. {
            let power = Power::default();
            let flash = flash(&power);
            power.cut_at(step);
            let mut setup = Setup::new(flash.clone());
            let (first, salt) = (NodeKey([7; 32]), [3; SALT_LEN]);
            let turn = rekey::line(&first, &salt);
            let change = settings(&format!(
                "broker={NEW}\n{turn}\nprobe.0=rain,tips:0:200,60,60\nvalve.1=relay,60,60"
            ));
            let mut confirmed = false;
            let mut work = || {
                now_or_never(setup.begin(&change, &id())).ok()?;
                now_or_never(setup.boot()).ok()?;
                now_or_never(setup.settle(SettingsOutcome::Confirmed)).ok()?;
                confirmed = true;
                now_or_never(setup.told()).ok()
            };
            let whole = work().is_some();
            power.on();
            let mut seen = vec![];
            for _ in 0..3 {
                let (broker, trial) = boot(&flash);
                let installed = now_or_never(Setup::new(flash.clone()).boot()).expect("set up");
                let is_new = broker == NEW;
                let (n_probes, n_valves) = (installed.config.probes.len(), installed.config.valves.len());
                if !matches!(trial, Trial::Running { .. }) {
                    let installed = now_or_never(Installation::load(flash.clone())).expect("set up");
                    assert_eq!(installed.broker == NEW, is_new, "cut at {step}");
                    assert_eq!((n_probes, n_valves), if is_new { (1, 1) } else { (0, 0) }, "cut at {step}");
                    let key = if is_new { next_key(&first, &salt) } else { first.clone() };
                    assert_eq!(installed.config.key, key, "cut at {step}");
                }
                seen.push(is_new);
            }
            assert!(!confirmed || seen.iter().all(|is_new| *is_new), "cut at {step}: {seen:?}");
            if whole {
                break;
            }
            n_cuts += 1;
        }
        assert!(n_cuts > 20, "only {n_cuts} cuts");
    }
}
