//! Codes and arguments of every reason, there and back.

use super::*;

fn sample(name: &str) -> Vec<ArgValue> {
    let texts = ["zone-1", "bad_mac", "watchdog"];
    let mut values =
        vec![ArgValue::Hundredths(745), ArgValue::Int(7), ArgValue::Permyriad(2100), ArgValue::Seconds(60)];
    values.extend(texts.iter().map(|text| ArgValue::Text((*text).to_owned())));
    values.push(ArgValue::Thousandths(-1600));
    assert!(!name.is_empty());
    values
}

/// Fills each argument with the first sample kind that the code takes.
fn build(code: &str) -> Reason {
    let names = Reason::arg_names(code).unwrap();
    let mut chosen: Vec<usize> = vec![0; names.len()];
    for _ in 0..40_000 {
        let pick = |name: &str| {
            let position = names.iter().position(|n| *n == name)?;
            sample(name).get(chosen[position]).cloned()
        };
        if let Some(reason) = Reason::from_parts(code, pick) {
            return reason;
        }
        for choice in &mut chosen {
            *choice += 1;
            if *choice < 8 {
                break;
            }
            *choice = 0;
        }
    }
    panic!("no arguments fit {code}");
}

#[test]
fn every_code_is_unique_and_comes_back_from_its_parts() {
    let mut seen = std::collections::BTreeSet::new();
    for code in Reason::ALL_CODES {
        assert!(seen.insert(*code), "{code} twice");
        assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
        let reason = build(code);
        assert_eq!(reason.code(), *code);
        let args = reason.args();
        let names: Vec<_> = args.iter().map(|arg| arg.name).collect();
        assert_eq!(Some(names.as_slice()), Reason::arg_names(code));
        let back = Reason::from_parts(code, |name| {
            args.iter().find(|arg| arg.name == name).map(|arg| arg.value.clone())
        });
        assert_eq!(back, Some(reason));
    }
    assert_eq!(Reason::from_parts("no_such_code", |_| None), None);
    assert_eq!(Reason::from_parts("minimum_off", |_| None), None);
    assert_eq!(Reason::from_parts("minimum_off", |_| Some(ArgValue::Int(3))), None);
}

#[test]
fn a_cause_is_the_same_while_only_its_waiting_time_moves() {
    let busy = |zone: &str| Reason::SourceBusy { zone: zone.parse().unwrap() };
    assert!(Reason::MinimumOff { remaining_s: 9 }.is_same_cause(&Reason::MinimumOff { remaining_s: 8 }));
    assert!(busy("a").is_same_cause(&busy("a")));
    assert!(!busy("a").is_same_cause(&busy("b")));
    let stale = |device: &str, age_s| Reason::StaleReading {
        device: device.parse().unwrap(),
        metric: "soil_moisture".parse().unwrap(),
        age_s,
        fresh_s: 60,
    };
    assert!(stale("n1", 61).is_same_cause(&stale("n1", 99)));
    assert!(!stale("n1", 61).is_same_cause(&stale("n2", 61)));
    assert!(!Reason::ClockUnset {}.is_same_cause(&Reason::StopAll {}));
}
