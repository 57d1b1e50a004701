//! Every reason has words in both languages; that every entry of a simulated month has them is tested in `why`.

use super::*;
use crate::hub::codec;
use giot_engine::Reason;
use serde_json::json;

/// A reason of every code, with arguments of the kinds that it takes.
fn every_reason() -> Vec<Reason> {
    use giot_engine::ArgValue::{Hundredths, Int, Permyriad, Seconds, Text, Thousandths};
    let texts = ["zone-1", "bad_mac", "watchdog"].map(|text| Text(text.to_owned()));
    let samples: Vec<_> = [Int(7), Permyriad(2105), Hundredths(745), Thousandths(-1625), Seconds(3700)]
        .into_iter()
        .chain(texts)
        .collect();
    let built = |code: &&str| {
        let names = Reason::arg_names(code).unwrap();
        // Each argument by itself: the others stay what was found before.
        let mut chosen = vec![0_usize; names.len()];
        let n_choices = samples.len().pow(u32::try_from(names.len()).unwrap());
        for choice in 0..n_choices {
            let mut rest = choice;
            for slot in &mut chosen {
                *slot = rest % samples.len();
                rest /= samples.len();
            }
            let arg = |name: &str| samples.get(chosen[names.iter().position(|n| *n == name)?]).cloned();
            if let Some(reason) = Reason::from_parts(code, arg) {
                return reason;
            }
        }
        panic!("no arguments fit {code}");
    };
    Reason::ALL_CODES.iter().map(built).collect()
}

fn sentence(words: &Words, lang: Lang, reason: &Reason) -> Option<String> {
    words.reason(lang, &Names::default(), reason.code(), &codec::args_for_people(reason))
}

#[test]
fn every_reason_becomes_a_sentence_with_its_numbers_and_a_remedy_in_both_languages() {
    let words = Words::default();
    for reason in every_reason() {
        let code = reason.code();
        for lang in Lang::ALL {
            let text = sentence(&words, lang, &reason).unwrap_or_else(|| panic!("{code} in {lang:?}"));
            assert!(text.len() > 5 && !text.contains(['{', '$']), "{code}: {text}");
            let remedy = words.remedy(lang, code).unwrap_or_else(|| panic!("do-… of {code} in {lang:?}"));
            assert!(remedy.len() > 5, "{code}: {remedy}");
        }
    }
}

#[test]
fn a_sentence_with_a_hole_is_none() {
    let words = Words::default();
    let args = json!({ "moisture": 21.05 });
    let sentence = words.reason(Lang::En, &Names::default(), "soil_dry", args.as_object().unwrap());
    assert_eq!(sentence, None, "start_below is missing");
    assert_eq!(words.message(Lang::En, "no-such-message", &[]), None);
}

#[test]
fn numbers_come_with_units_and_ids_with_names() {
    let words = Words::default();
    let mut names = Names::default();
    names.by_kind.insert(("zone", "man-1".to_owned()), "Mận trên".to_owned());
    let check = |lang, code: &str, args: Value, want: &str| {
        assert_eq!(words.reason(lang, &names, code, args.as_object().unwrap()).as_deref(), Some(want));
    };
    let dry = json!({ "moisture": 19.95, "start_below": 22.0 });
    check(Lang::Vi, "soil_dry", dry, "Đất khô: độ ẩm 19,95\u{a0}%, dưới ngưỡng 22,0\u{a0}%.");
    let rest = json!({ "remaining_s": 7500 });
    check(Lang::Vi, "minimum_off", rest, "Đang trong thời gian nghỉ, còn 2 giờ 5 phút.");
    let tank = json!({ "source": "be", "level": 0.75, "least": 0.8, "resume": 1.5, "unit": "" });
    let text = "The level of be is too low: 0.75, it gives nothing below 0.8 and gives again from 1.5.";
    check(Lang::En, "tank_low", tank, text);
    let rain = json!({ "rain_mm": 4.254, "limit_mm": 2.5, "hours": 24 });
    check(Lang::Vi, "rained", rain, "Đã mưa 4,254 mm trong 24 giờ, 2,5 mm là đủ.");
    let frost = json!({ "temperature_c": -1.6, "below_c": 2.0, "clear_c": 4.0 });
    let text = "Too cold: −1.6 °C, nothing is watered below 2 °C; water flows again from 4 °C.";
    check(Lang::En, "frost", frost, text);
    check(Lang::Vi, "source_busy", json!({ "zone": "man-1" }), "Nguồn nước đang dành cho Mận trên.");
    let args = json!({ "device": "n01", "metric": "soil_moisture_1" });
    check(Lang::Vi, "no_reading", args, "Chưa có số đo nào của n01 (độ ẩm đất 1).");
    let closed = words.reason(
        Lang::Vi,
        &names,
        "closed_by_node",
        json!({ "close": "brown_out" }).as_object().unwrap(),
    );
    assert_eq!(closed.as_deref(), Some("Trạm tự đóng van: điện yếu."));
}

#[test]
fn water_by_hand_of_which_nobody_knows_how_much_is_not_told_as_none() {
    let words = Words::default();
    let check = |litres, want: &str| {
        let reason = Reason::IrrigatedByHand { run_s: 1200, litres };
        let told = sentence(&words, Lang::En, &reason).unwrap().replace(['\u{a0}', '\u{202f}'], " ");
        assert_eq!(told, format!("Somebody irrigated by hand for 20 min, {want}."));
    };
    check(0, "nobody knows how much");
    check(320, "320 L");
}
