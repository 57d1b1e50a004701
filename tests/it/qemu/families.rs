//! Probes of every family on one RS485 line, and devices that lie: what a probe says is in the history in its unit, what is no
//! answer is there as a missing one.

use super::outage::rows;
use super::{chip_with, installation};
use crate::farm::Farm;
use giot_firmware::settings::words;
use giot_gateway::quality::Quality;
use giot_tests::giot::wait_for;
use giot_tests::node::PATIENCE;
use giot_tests::qemu::{Chip, Manner, Neighbour};

/// A device of each family, whose registers say the same in the words of its own map, but the one of map B is in dry soil: these are
/// the values of the printed frames.
pub(super) fn connect_families(chip: &Chip, first_address: u8) {
    let two = |value: i16| value.cast_unsigned();
    let families = [
        (0, vec![658, two(-101), 1000]),
        (0x12, vec![45, two(-101), 0, 1000]),
        (0, vec![two(-1010), 6580, 1000]),
        (0, vec![658, two(-101), 10_000]),
    ];
    for (address, registers) in (first_address..).zip(families) {
        chip.soil.connect(Neighbour { address, registers, manner: Manner::Plain });
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
    let value = |metric: &str, probe: usize| {
        let name = if probe == 0 { metric.to_owned() } else { format!("{metric}_{probe}") };
        let (value, _, quality) = wait_for(&name, PATIENCE, || rows(&reader, &name).into_iter().next());
        (value.to_string(), quality)
    };
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
