//! Probes of every family on one RS485 line, and devices that lie: what a probe says is in the history in its unit, what is no
//! answer is there as a missing one.

use super::outage::rows;
use super::{chip_with, installation};
use crate::farm::Farm;
use giot_firmware::settings::words;
use giot_gateway::quality::Quality;
use giot_store::Reader;
use giot_tests::giot::wait_for;
use giot_tests::node::PATIENCE;
use giot_tests::qemu::{Chip, Manner, Neighbour};

/// A device of each family, whose registers say the same in the words of its own map, but the one of map B is in dry soil: these are
/// the values of the printed frames.
pub(super) fn connect_families(chip: &Chip, first_address: u8) {
    let two = |value: i16| value.cast_unsigned();
    let mut of_b = vec![0; 0x21];
    for (register, word) in
        [(0x06, 653), (0x12, 45), (0x13, two(-101)), (0x15, 1000), (0x1e, 137), (0x1f, 45), (0x20, 210)]
    {
        of_b[register] = word;
    }
    let families = [
        (0, vec![658, two(-101), 1000, 56, 137, 45, 210]),
        (0x06, of_b.split_off(0x06)),
        (0, vec![two(-1010), 6580, 1000, 521, 473, 1234]),
        (0, vec![658, two(-101), 10_000, 56, 137, 45, 210]),
    ];
    for (address, registers) in (first_address..).zip(families) {
        chip.soil.connect(Neighbour { address, registers, manner: Manner::Plain });
    }
}

/// What the history has first of a node's probe.
fn first_value(reader: &Reader, metric: &str, probe: usize) -> (String, Quality) {
    let name = if probe == 0 { metric.to_owned() } else { format!("{metric}_{probe}") };
    let (value, _, quality) = wait_for(&name, PATIENCE, || rows(reader, &name).into_iter().next());
    (value.to_string(), quality)
}

#[test]
fn what_else_a_family_measures_is_in_the_history_in_its_unit() {
    const NPK: [(&str, &str); 3] =
        [("soil_nitrogen", "137"), ("soil_phosphorus", "45"), ("soil_potassium", "210")];
    let farm = Farm::new("automatic = false");
    let mut made = installation(&farm.kit());
    words::set(&mut made, "meter", "none").unwrap();
    let salts = [("soil_salinity", "521"), ("soil_tds", "473"), ("soil_permittivity", "12.34")];
    let with_ph = |ph| [("soil_ph", ph)].into_iter().chain(NPK).collect::<Vec<_>>();
    let families =
        [("2:A", with_ph("5.6")), ("3:B", with_ph("6.53")), ("4:C", salts.to_vec()), ("5:D", with_ph("5.6"))];
    let all: Vec<_> = families
        .iter()
        .flat_map(|(place, said)| said.iter().map(move |(metric, value)| (place, metric, value)))
        .collect();
    for (probe, (place, metric, _)) in all.iter().enumerate() {
        words::set(&mut made, &format!("probe.{probe}"), &format!("{metric},modbus:{place},3600,3600"))
            .unwrap();
    }
    let _chip = chip_with(&made, |chip| connect_families(chip, 2));
    let reader = farm.reader();
    for (probe, (place, metric, wanted)) in all.iter().enumerate() {
        let said = first_value(&reader, metric, probe);
        assert_eq!(said, ((**wanted).to_owned(), Quality::Good), "{metric} of {place}");
    }
}

#[test]
fn probes_of_every_family_are_read_and_liars_are_not() {
    const LIARS: [(u8, Manner); 3] = [(6, Manner::Garbled), (7, Manner::Foreign), (9, Manner::Broken)];
    const SILENT: u8 = 11;
    let farm = Farm::new("automatic = false");
    let mut made = installation(&farm.kit());
    words::set(&mut made, "meter", "none").unwrap();
    let metrics = ["soil_moisture", "soil_temperature", "soil_ec"];
    let mut number = 0;
    let mut plan = |metric: &str, address: u8, map: &str| {
        words::set(
            &mut made,
            &format!("probe.{number}"),
            &format!("{metric},modbus:{address}:{map},3600,3600"),
        )
        .unwrap();
        number += 1;
    };
    for (address, map) in (2..).zip(["A", "B", "C", "D"]) {
        metrics.iter().for_each(|metric| plan(metric, address, map));
    }
    let liars = LIARS.iter().map(|(address, _)| *address).chain([SILENT]);
    liars.for_each(|address| plan("soil_moisture", address, "A"));
    let chip = chip_with(&made, |chip| {
        connect_families(chip, 2);
        for (address, manner) in LIARS {
            chip.soil.connect(Neighbour { address, registers: (0, vec![658]), manner });
        }
    });
    let reader = farm.reader();
    let value = |metric: &str, probe: usize| first_value(&reader, metric, probe);
    for (family, moisture) in ["65.8", "4.5", "65.8", "65.8"].into_iter().enumerate() {
        for (offset, (metric, wanted)) in metrics.into_iter().zip([moisture, "-10.1", "1000"]).enumerate() {
            let said = value(metric, 3 * family + offset);
            assert_eq!(said, (wanted.to_owned(), Quality::Good), "{metric} of family {family}");
        }
    }
    for probe in 12..16 {
        assert_eq!(value("soil_moisture", probe), ("NaN".to_owned(), Quality::Missing), "probe {probe}");
    }
    assert_eq!(chip.log().matches("boot by").count(), 1, "{}", chip.log());
}
