//! Conditions: what is read, what is refused and where.

use super::*;
use proptest::prelude::*;

fn probe(text: &str) -> ProbeRef {
    let (device, metric) = text.split_once('/').unwrap();
    ProbeRef { device: device.parse().unwrap(), metric: metric.parse().unwrap() }
}

fn scope() -> Scope {
    Scope {
        series: [("n01/soil_moisture", "n01/soil_moisture"), ("tank", "n09/tank_level")]
            .map(|(name, series)| (name.to_owned(), probe(series)))
            .into(),
        weather: [("air_c".to_owned(), probe("tram/air_temperature"))].into(),
        unread: Unread::default(),
        zones: ["man-1", "man-2"].map(|zone| zone.parse().unwrap()).into(),
    }
}

fn inputs(text: &str) -> Vec<String> {
    let condition = compile(text, &scope()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    condition.inputs.iter().map(ToString::to_string).collect()
}

/// The one problem of a condition, as `line:column what`.
fn problem(text: &str) -> String {
    let errors = compile(text, &scope()).expect_err(text);
    let [error] = errors.as_slice() else { panic!("{text}: {errors:?}") };
    format!("{}:{} {}", error.line, error.column, error.what)
}

#[test]
fn inputs_are_found_once_each() {
    let text = r#"series["n01/soil_moisture"] < 20 && (weather.air_c > 35.5 || series["n01/soil_moisture"] < 15)
        && !zone["man-1"].watering && zone["man-2"].moisture < 25 && time.hour >= 5 && series.tank > 30"#;
    assert_eq!(
        inputs(text),
        [
            "n01/soil_moisture",
            "tram/air_temperature",
            "man-1.watering",
            "man-2.moisture",
            "time.hour",
            "n09/tank_level"
        ]
    );
    assert_eq!(
        inputs("abs(weather.air_c - 30) > max(2, 3) ? true : weather.air_c == -1.5"),
        ["tram/air_temperature"]
    );
}

#[test]
fn a_wrong_name_is_refused_with_its_place_and_the_nearest_name() {
    let check = |text, want| assert_eq!(problem(text), want);
    check(
        "time.hour > 5 &&\n  series[\"n01/soil_moistrue\"] < 20",
        "2:9 series has no \"n01/soil_moistrue\"; did you mean \"n01/soil_moisture\"?; a [series] table in the \
         configuration names more",
    );
    check("zone[\"man1\"].watering", "1:13 there is no zone \"man1\"; did you mean \"man-1\"?");
    check("zone[\"man-1\"].moistur < 3", "1:14 a zone has no `moistur`; did you mean \"moisture\"?");
    check("time.hours > 3", "1:5 there is no time.hours; did you mean \"hour\"?");
    check("wether.air_c > 3", "1:7 only series, weather, zone and time have parts");
    check("rain > 3", "1:1 there is no `rain`; there is series, weather, zone, time");
    check("abs2(time.hour) > 3", "1:5 there is no function `abs2`; did you mean \"abs\"?");
    // Columns count characters, also behind Vietnamese letters.
    let far = problem("\"độ ẩm\" == \"đất\" && tme.hour > 1");
    assert!(far.starts_with("1:24"), "{far}");
}

#[test]
fn a_wrong_kind_is_refused() {
    let check = |text, want| assert_eq!(problem(text), want);
    check("weather.air_c", "1:8 the condition gives no true or false: compare it with something");
    check(
        "weather.air_c && time.hour > 1",
        "1:15 && and || join what is true or false, not a number and true or false",
    );
    check("zone[\"man-1\"].watering > 1", "1:24 < and > compare numbers, not true or false and a number");
    check("weather.air_c == \"hot\"", "1:15 == and != compare things of one kind, not a number and a text");
    check("1 < 2", "1:3 the condition reads nothing, so it could never change");
    check(
        "zone[\"man-1\"] == 1",
        "1:5 name what of the zone: .moisture, .tension, .watering, .locked, .fault",
    );
    check("weather.air_c % 2 == 1", "1:15 there is no %");
    check("weather.air_c / 0 > 1", "1:15 nothing is divided by 0");
}

#[test]
fn what_is_not_part_of_the_language_is_refused() {
    for text in [
        "[1, 2].exists(x, x > weather.air_c)",
        "{'a': 1}.a < weather.air_c",
        "has(weather.air_c)",
        "weather.air_c in [1, 2]",
        "'a'.size() < weather.air_c",
        "size('a') < weather.air_c",
        "series[time.hour] > 1",
        "series > 1",
        "b'abc' == b'abc' && time.hour > 1",
        "null == null",
        "weather.air_c >",
        "",
        "\"",
        "@0 > 1",
    ] {
        assert!(compile(text, &scope()).is_err(), "{text}");
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let long = format!("{} > 1", vec!["time.hour"; 60].join(" + "));
    assert!(compile(&long, &scope()).is_err(), "too long");
    let many = vec!["time.day>1"; 30].join("||");
    assert!(compile(&many, &scope()).unwrap_err()[0].what.contains("parts are too many"));
    for (open, close) in [("(", ")"), ("!", ""), ("-", ""), ("abs(", ")"), ("true ? ", " : false")] {
        let deep = format!("{}time.hour{} > 1", open.repeat(60), close.repeat(60));
        assert!(compile(&deep, &scope()).is_err(), "{open}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a person writes is taken or refused; nothing else happens.
    #[test]
    fn any_text_is_taken_or_refused(parts in proptest::collection::vec(0..28_usize, 0..40)) {
        const PARTS: [&str; 28] = [
            "time.hour", "zone[\"man-1\"].moisture", "series.tank", "(", ")", "[", "]", "{", "}", "!", "-", "&&", "||",
            "<", "==", "+", "/", "1", "2.5e3", "\"a\"", "'", "?", ":", ".", ",", "ẩm", "0x", "\n",
        ];
        let text: String = parts.iter().map(|idx| PARTS[*idx]).collect();
        let result = compile(&text, &scope());
        prop_assert!(result.is_ok() || !result.unwrap_err().is_empty());
    }
}
