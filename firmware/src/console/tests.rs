//! What a person can say at the console, and that nothing else gets anywhere.

use super::*;
use crate::probe::modbus::Parity;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

/// Types a text and gives the replies and what the board must do.
fn say(console: &mut Console, text: &str) -> (Vec<String>, Vec<Outcome>) {
    let (mut replies, mut outcomes) = (vec![], vec![]);
    for byte in text.bytes() {
        let told: Result<Outcome, ()> = console.handle_byte(byte, &mut |line| {
            replies.push(line.to_string());
            Ok(())
        });
        outcomes.extend(told.ok().filter(|outcome| *outcome != Outcome::Done));
    }
    (replies, outcomes)
}

fn fresh() -> Console {
    Console::new(None).expect("a console")
}

#[test]
fn a_fresh_node_is_set_up_line_by_line() {
    let mut console = fresh();
    let key = "5a".repeat(KEY_LEN);
    let (replies, outcomes) = say(&mut console, "commit\nnode v01\ncommit\n");
    assert_eq!(replies, ["=error node is not set", "=ok", "=error key is not set"]);
    assert_eq!(outcomes, []);
    let lines = format!(
        "key {key}\r\nbroker 192.168.1.5:1883\nwifi HTX mat khau\nset valve.0 relay,7200,600\n\
         set probe.0 soil_moisture,modbus:1:A,600,60,0\nset baud 9600\ncommit\n"
    );
    let (replies, outcomes) = say(&mut console, &lines);
    assert_eq!(replies, ["=ok"; 6]);
    assert_eq!(outcomes, [Outcome::Commit { gives_up: false }]);
    let draft = console.draft();
    assert_eq!(draft.config.id.as_str(), "v01");
    assert_eq!(draft.config.key.0, [0x5a; KEY_LEN]);
    assert_eq!(draft.wifi.as_ref().map(crate::settings::Wifi::password), Some("mat khau"));
    assert_eq!((draft.config.valves.len(), draft.config.probes.len(), draft.baud), (1, 1, 9600));
    let mut last = String::new();
    let mut keep = |line: fmt::Arguments<'_>| {
        last = line.to_string();
        Ok::<(), ()>(())
    };
    console.committed(Ok(()), &mut keep).expect("said");
    assert!(last.starts_with("=ok"), "{last}");
    let error = InstallError::Flash(crate::settings::SettingsError::Flash);
    let mut keep = |line: fmt::Arguments<'_>| {
        last = line.to_string();
        Ok::<(), ()>(())
    };
    console.committed(Err(error), &mut keep).expect("said");
    assert_eq!(last, "=error not written: the settings flash failed");
}

#[test]
fn secrets_are_not_shown_but_can_be_compared() {
    let mut console = fresh();
    let (replies, _) = say(&mut console, "show\n");
    assert!(replies.iter().all(|line| !line.contains("node") && !line.contains("broker")), "{replies:?}");
    let key = NodeKey([0x5a; KEY_LEN]);
    let code = to_code(&"v01".parse().expect("an id"), &key).expect("fits");
    let (replies, _) = say(&mut console, &format!("code {code}\nwifi HTX bi-mat-00\nshow\n"));
    assert_eq!(replies[..2], ["=ok node v01", "=ok"]);
    let shown = &replies[2..];
    assert!(shown.contains(&format!("=show key_digest {}", digest(&key))), "{shown:?}");
    assert!(shown.contains(&"=show node v01".to_string()) && shown.last() == Some(&"=ok".to_string()));
    let all = shown.concat();
    assert!(
        !all.contains("bi-mat") && !all.contains("5a5a") && !all.contains(code.trim_start_matches("GIOT1-")),
        "{all}"
    );
    let (replies, _) = say(&mut console, &format!("code {}\n", code.replacen("GIOT1-B", "GIOT1-C", 1)));
    assert_eq!(replies, ["=error the code is mistyped: its check does not fit"]);
}

/// It was said of a node that waits at its console that it runs.
#[test]
fn whether_the_node_runs_is_shown() {
    let shown = |console: Console| say(&mut { console }, "show\n").0;
    let is_told = |lines: &[String]| lines.iter().any(|line| line.starts_with("=show runs"));
    assert!(!is_told(&shown(fresh())));
    assert!(shown(fresh().beside(Ok(()))).contains(&"=show runs yes".to_string()));
    let lines = shown(fresh().beside(Err(NoNode::Unfit("no wireless network is set"))));
    assert!(lines.contains(&"=show runs no: no wireless network is set".to_string()), "{lines:?}");
}

#[test]
fn the_board_is_told_what_to_do() {
    let mut console = fresh();
    let (replies, outcomes) = say(
        &mut console,
        "scan\nscan 9600\nscan even 11-247\nscan 12\nscan fast\nsetup\nreboot\nfactory-reset\nfactory-reset yes\n",
    );
    let usual = Scan::default();
    let scans = [
        usual.clone(),
        Scan { baud: Some(9600), ..usual.clone() },
        Scan { parity: Parity::Even, addresses: 11..=247, ..usual },
    ];
    assert_eq!(outcomes[..3], scans.map(Outcome::Scan));
    assert_eq!(outcomes[3..], [Outcome::Setup, Outcome::Reboot, Outcome::FactoryReset]);
    assert_eq!(replies.len(), 5, "{replies:?}");
    // A number is a speed; one address is written as several are.
    for refused in &replies[..2] {
        assert!(
            refused.starts_with("=error the value must be [BAUD] [none|even|odd] [FIRST-LAST]"),
            "{refused}"
        );
        assert!(refused.contains("300 to 115200 baud and one address as 5-5"), "{refused}");
    }
    assert!(replies[4].starts_with("=error this forgets"), "{replies:?}");
}

#[test]
fn nonsense_is_said_to_be_nonsense() {
    let mut console = fresh();
    for (line, want) in [
        ("open 1", "=error no such command: `help` lists them"),
        ("set", "=error the value must be there: set WORD VALUE"),
        ("commit giveup", "=error no such command: `help` lists them"),
        (
            "set valve.0 open",
            "=error the value must be relay or latching, then LONGEST_S,BUTTON_S (at most 86400)",
        ),
        ("key 12", "=error the value must be 64 hexadecimal digits"),
        ("code GIOT", "=error this is no code of a node: it begins with GIOT1-"),
    ] {
        let (replies, outcomes) = say(&mut console, &format!("{line}\n"));
        assert_eq!((replies, outcomes), (vec![want.to_string()], vec![]), "{line}");
    }
    let (replies, _) = say(&mut console, &format!("{}\nbroker 1.2.3.4:5\n", "x".repeat(LINE_LEN_MAX + 1)));
    assert_eq!(replies, ["=error the line is longer than 160 bytes", "=ok"], "the next line is read again");
    // Typing mistakes, escapes, and bytes that are no text.
    let (replies, _) = say(&mut console, "\u{1b}hexx\u{8}\u{7f}lp\n");
    assert_eq!(replies.last().map(String::as_str), Some("=ok"));
    let told: Result<Vec<Outcome>, ()> =
        [0xff, b'\n'].into_iter().map(|byte| console.handle_byte(byte, &mut |_| Ok(()))).collect();
    assert_eq!(told, Ok(vec![Outcome::Done; 2]));
}

#[test]
fn every_command_of_the_help_exists() {
    let mut console = fresh();
    for line in HELP {
        let command = line.split(' ').next().unwrap_or("");
        let (replies, _) = say(&mut console, &format!("{command}\n"));
        assert!(replies.iter().all(|reply| !reply.contains("no such command")), "{command}");
    }
}

/// Numbers that look like none, the same in every run.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 16
}

/// A draft that was not committed is all that bytes can change, and every bound holds whatever comes.
#[test]
fn ten_thousand_lines_of_anything_do_no_harm() {
    const WORDS: [&str; 12] = [
        "set ",
        "valve.",
        "probe.",
        "curve.",
        "code GIOT1-",
        "wifi ",
        "broker ",
        "node ",
        "key ",
        "rain,tips:0:1,1,1",
        "relay,60,60",
        "none",
    ];
    let mut console = fresh();
    let mut state = 0x5eed;
    let mut n_taken = 0;
    for number in 0..10_000_u64 {
        let mut line: Vec<u8> = vec![];
        for _ in 0..noise(&mut state) % 6 {
            match noise(&mut state) % 3 {
                0 => line.extend((0..noise(&mut state) % 40).map(|_| noise(&mut state).to_le_bytes()[0])),
                1 => line.extend(format!("{}", noise(&mut state) % 300).bytes()),
                _ => line.extend(WORDS[usize::try_from(noise(&mut state) % 12).expect("few")].bytes()),
            }
        }
        if number % 16 == 0 {
            line.splice(..0, *b"set valve.1 relay,60,60 ");
        }
        line.push(b'\n');
        for byte in line {
            let outcome: Result<Outcome, ()> = console.handle_byte(byte, &mut |reply| {
                let reply = reply.to_string();
                assert!(reply.starts_with('='), "{reply}");
                n_taken += usize::from(reply == "=ok");
                Ok(())
            });
            assert_eq!(outcome, Ok(Outcome::Done), "no word that the board would act on");
        }
    }
    assert!(n_taken > 10, "some of it made sense: {n_taken}");
    let draft = console.draft();
    assert!(draft.config.probes.len() <= crate::settings::PROBES_MAX && draft.config.valves.len() <= 8);
}

/// What is typed, once; then the port is silent.
struct Typed<'a>(&'a [u8]);

impl embedded_io_async::ErrorType for Typed<'_> {
    type Error = core::convert::Infallible;
}

impl embedded_io_async::Read for Typed<'_> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        self.0.read(bytes).await
    }
}

/// What waited went out under the new id, without a word.
#[test]
fn another_id_while_records_wait_is_refused_until_somebody_gives_them_up() {
    use crate::board::NodeStatus;
    use crate::hand_clock::block_on;
    use crate::nor::{Nor, Power};
    let flash = Nor::new(4, &Power::default());
    let stored = || block_on(Installation::load(flash.clone())).map(|made| made.config.id.to_string());
    let made = || Installation::new("n01".parse().expect("an id"), NodeKey([7; KEY_LEN]), "10.0.0.1:1883");
    let check = |waiting: Option<u32>, typed: &[u8], wanted: &str, id: &str| {
        block_on(made().expect("short").store(flash.clone())).expect("stored");
        let desk = Desk::new();
        if let Some(waiting) = waiting {
            desk.note(&NodeStatus { waiting, ..NodeStatus::default() });
        }
        let (mut console, mut said) = (Console::new(made()).expect("a console"), String::new());
        let typed = [typed, b"\nreboot\n"].concat();
        block_on(serve(&mut console, &mut Typed(&typed), &mut said, &mut flash.clone(), &desk));
        assert!(said.contains(wanted), "{said}");
        assert_eq!(stored().as_deref(), Ok(id), "{said}");
    };
    let refused = "=error 37 records of n01 wait for its gateway";
    check(Some(37), b"node n02\ncommit", refused, "n01");
    let told = "= 37 records of n01 are given up, and what it makes until it starts again\r\n= n02 instead of n01 from the next boot on\r\n=ok written";
    check(Some(37), b"node n02\ncommit give-up", told, "n02");
    // Nothing is lost where nothing waits, or the id stays.
    check(
        Some(0),
        b"node n02\ncommit",
        "=ok\r\n= n02 instead of n01 from the next boot on\r\n=ok written",
        "n02",
    );
    check(Some(37), b"set baud 9600\ncommit", "=ok\r\n=ok written", "n01");
    check(Some(37), b"node n02\nnode n01\ncommit give-up", "=ok\r\n=ok\r\n=ok written", "n01");
    // In the first seconds of a boot its node has not looked yet.
    let unknown = "=error nobody knows yet how many records of n01 wait";
    check(None, b"node n02\ncommit", unknown, "n01");
    check(None, b"node n02\ncommit give-up", unknown, "n01");
    check(None, b"set baud 9600\ncommit", "=ok\r\n=ok written", "n01");
}

/// An id that was refused was carried out by a commit of something else, without a word.
#[test]
fn an_id_that_was_refused_is_named_until_it_is_written() {
    use crate::board::NodeStatus;
    use crate::hand_clock::block_on;
    use crate::nor::{Nor, Power};
    let flash = Nor::new(4, &Power::default());
    let made = Installation::new("n01".parse().expect("an id"), NodeKey([7; KEY_LEN]), "10.0.0.1:1883");
    let desk = Desk::new();
    let mut console = Console::new(made).expect("a console").beside(Ok(()));
    let mut type_in = |waiting: u32, typed: &[u8]| {
        desk.note(&NodeStatus { waiting, ..NodeStatus::default() });
        let mut said = String::new();
        let typed = [typed, b"\nreboot\n"].concat();
        block_on(serve(&mut console, &mut Typed(&typed), &mut said, &mut flash.clone(), &desk));
        said
    };
    let shows = |said: &str| {
        let (_, ids) = said.split_once("=show runs yes\r\n").expect("it runs");
        ids.split_once("=ok").expect("its end").0.to_string()
    };
    assert_eq!(shows(&type_in(1, b"show")), "");
    assert!(type_in(1, b"node n02\ncommit").contains("=error 1 records of n01 wait"));
    assert_eq!(shows(&type_in(0, b"show")), "= n02 is not written: `commit`\r\n");
    let said = type_in(0, b"set baud 9600\ncommit");
    assert!(said.contains("= n02 instead of n01 from the next boot on\r\n=ok written"), "{said}");
    let written = "= as n01 until `reboot`, then as n02\r\n";
    assert_eq!(shows(&type_in(0, b"show")), written);
    // What is shown is not what the next boot runs by.
    assert_eq!(shows(&type_in(0, b"node n01\nshow")), format!("{written}= n01 is not written: `commit`\r\n"));
    let said = type_in(0, b"commit\nshow");
    assert!(!said.contains("instead"), "{said}");
    assert_eq!(shows(&said), "");
}

#[test]
fn nothing_is_written_while_settings_are_on_trial() {
    use crate::hand_clock::block_on;
    use crate::nor::{Nor, Power};
    use crate::settings::Setup;
    use giot_shared::ids::{CommandId, NodeId};
    use giot_shared::time::UnixMs;
    use giot_shared::wire::{Settings, SettingsOutcome, SettingsText};
    let flash = Nor::new(4, &Power::default());
    let id: NodeId = "v01".parse().expect("an id");
    let old = Installation::new(id.clone(), NodeKey([7; KEY_LEN]), "10.0.0.1:1883");
    block_on(old.expect("short").store(flash.clone())).expect("stored");
    let text = SettingsText::new("broker=10.0.0.2:1883").expect("short");
    let tried = Settings { command: CommandId(5), text, issued_at: UnixMs(0), ttl_s: 60, within_s: 30 };
    let mut setup = Setup::new(flash.clone());
    assert_eq!(block_on(setup.begin(&tried, &id)), Ok(true));
    let say_to = |console: &mut Console, typed: &[u8]| {
        let mut said = String::new();
        let mut input = Typed(typed);
        let ended = block_on(serve(console, &mut input, &mut said, &mut flash.clone(), &Desk::new()));
        assert_eq!(ended, Ended::Reboot);
        said
    };
    const REFUSED: &str = "=error settings from over the air are on trial";
    let stored = || block_on(Installation::load(flash.clone())).expect("set up");
    // Within the three seconds before the boot that tries them they were forgotten, and the gateway never heard what became of them.
    for writes in [&b"commit\nreboot\n"[..], b"factory-reset yes\nreboot\n"] {
        let mut console = Console::new(Some(stored())).expect("a console");
        let said = say_to(&mut console, writes);
        assert!(said.contains(REFUSED), "{said}");
    }
    let mut console = Console::new(block_on(setup.boot()).ok()).expect("a console");
    let mut commit = || say_to(&mut console, b"set baud 9600\ncommit\nreboot\n");
    let said = commit();
    assert!(said.contains(REFUSED), "{said}");
    assert_eq!((stored().broker.as_str(), stored().baud), ("10.0.0.1:1883", 4800));
    // When they are kept, a person may go on.
    block_on(setup.settle(SettingsOutcome::Confirmed)).expect("kept");
    let said = commit();
    assert!(said.contains("=ok written"), "{said}");
    assert_eq!((stored().broker.as_str(), stored().baud), ("10.0.0.2:1883", 9600));
    // Of what cannot be read no trial ever ends.
    assert_eq!(block_on(setup.begin(&Settings { command: CommandId(6), ..tried }, &id)), Ok(true));
    let absent = NoNode::Install(InstallError::Absent);
    let mut lost = fresh().beside(Err(absent));
    let said = say_to(&mut lost, b"factory-reset yes\n");
    assert!(said.contains("=ok") && !said.contains(REFUSED), "{said}");
}
