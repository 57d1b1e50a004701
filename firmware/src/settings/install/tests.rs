//! What was set up is read as it was written; what was spoilt or cut short is not set up.

use super::*;
use crate::nor::{Nor, Power, now_or_never};
use std::format;

fn installation() -> Installation {
    let id = "v01".parse().expect("an id");
    let mut made = Installation::new(id, NodeKey([7; KEY_LEN]), "192.168.1.5:1883").expect("short");
    made.config.prefix = heapless::String::try_from("htx/giot").expect("short");
    made.config.meter = Some(MeterPlan { probe: ProbeId(9), microlitres_per_pulse: 10_000 });
    made.config.supply = Some(SupplyPlan { brown_out: Millivolts(3300), resume: Millivolts(3500) });
    made.config.health_interval_ms = 900_000;
    made.config.battery =
        Some(BatteryPlan { chemistry: Chemistry::LiFePo4, n_cells: 4, divider: (300, 100) });
    made.wifi = Wifi::new("Vườn nhà Lan", "very secret");
    made.network = Network::Static {
        address: Ipv4Addr::new(192, 168, 1, 20),
        prefix_len: 24,
        router: Ipv4Addr::new(192, 168, 1, 1),
    };
    made.baud = 9600;
    made.parity = Parity::Odd;
    made.config.probe_warm_ms = Some(1500);
    made.wifi = Wifi::new("Vườn nhà Lan", "very secret");
    made.config.sleep = Some(SleepPlan { listen_ms: 5000, patience_ms: 20_000 });
    let latching = ValvePlan { kind: ValveKind::Latching, ..ValvePlan::new(ValveId(1)) };
    made.config.valves = [ValvePlan::new(ValveId(0)), latching].into_iter().collect();
    let curve = [(2700, 0), (2200, 1500), (1200, 10_000)].map(|(mv, moisture)| Point {
        voltage: Millivolts(mv),
        moisture: MoisturePermyriad::new(moisture).expect("a moisture"),
    });
    let mut analog = ProbePlan::new(ProbeId(0), Metric::SoilMoisture);
    analog.calibration = Some(Calibration::new(&curve).expect("a curve"));
    let mut modbus = ProbePlan::new(ProbeId(1), Metric::SoilTemperature);
    modbus.device = Some(17);
    modbus.valve = Some(ValveId(1));
    modbus.interval_running_ms = 5000;
    let float = ProbePlan::new(ProbeId(2), Metric::TankFloat);
    let gauge = ProbePlan::new(ProbeId(3), Metric::Rain);
    made.config.probes = [analog, float, gauge, modbus].into_iter().collect();
    made.inputs = [
        (ProbeId(0), Input::Analog(AnalogPlan::new(3))),
        (ProbeId(2), Input::Contact { channel: 1, is_inverted: true, hold_ms: 1000 }),
        (ProbeId(3), Input::Tips { channel: 0, step: 200 }),
        (ProbeId(1), Input::Modbus { address: 17, preset: Preset::B }),
    ]
    .into_iter()
    .collect();
    made
}

fn load(flash: &Nor) -> Result<Installation, InstallError> {
    now_or_never(Installation::load(flash.clone()))
}

#[test]
fn what_was_set_up_comes_back() {
    let flash = Nor::new(2, &Power::default());
    assert_eq!(load(&flash).map(|_| ()), Err(InstallError::Absent));
    let made = installation();
    now_or_never(made.store(flash.clone())).expect("stored");
    let read = load(&flash).expect("set up");
    assert_eq!(format!("{read:?}"), format!("{made:?}"));
    assert_eq!(read.config.key.0, made.config.key.0, "which is not printed");
    assert_eq!(read.wifi, made.wifi);
    assert_eq!(read.input(ProbeId(1)), Some(Input::Modbus { address: 17, preset: Preset::B }));
    assert_eq!(read.input(ProbeId(4)), None);
    assert_eq!(read.wifi, made.wifi, "the password is not printed");
    // Again, with less: nothing of the first one is left.
    let mut bare = Installation::new(made.config.id.clone(), made.config.key, "h:1").expect("short");
    for wifi in [None, Wifi::new("open", "")] {
        bare.wifi = wifi;
        now_or_never(bare.store(flash.clone())).expect("stored");
        let read = load(&flash).expect("set up");
        assert_eq!(format!("{read:?}"), format!("{bare:?}"));
        assert_eq!(read.wifi, bare.wifi);
    }
}

#[test]
fn a_probe_without_an_input_is_not_stored() {
    let mut made = installation();
    made.inputs.pop();
    let stored = now_or_never(made.store(Nor::new(2, &Power::default())));
    assert_eq!(stored, Err(InstallError::Value(KEY_PROBES + 3)));
}

#[test]
fn a_power_cut_leaves_a_node_that_is_not_set_up_or_set_up_whole() {
    let want = format!("{:?}", installation());
    let mut n_whole = 0;
    for step in 1.. {
        let power = Power::default();
        let flash = Nor::new(2, &power);
        power.cut_at(step);
        let stored = now_or_never(installation().store(flash.clone()));
        if stored.is_ok() {
            break;
        }
        power.on();
        match load(&flash) {
            Ok(read) => {
                assert_eq!(format!("{read:?}"), want, "cut at {step}");
                n_whole += 1;
            }
            Err(error) => assert_eq!(error, InstallError::Absent, "cut at {step}"),
        }
    }
    assert!(n_whole <= 2, "only the last words may be missing");
}

#[test]
fn a_spoilt_partition_is_not_set_up() {
    let flash = Nor::new(2, &Power::default());
    flash.scramble();
    assert!(load(&flash).is_err());
    now_or_never(installation().store(flash.clone())).expect("stored");
    assert!(load(&flash).is_ok());
}

#[test]
fn values_of_another_firmware_are_named() {
    let check = |key: u8, value: &[u8]| {
        let flash = Nor::new(2, &Power::default());
        now_or_never(installation().store(flash.clone())).expect("stored");
        now_or_never(async { Map::open(flash.clone()).expect("a map").put(key, value).await })
            .expect("stored");
        assert_eq!(load(&flash).map(|_| ()), Err(InstallError::Value(key)), "{key} {value:?}");
    };
    check(KEY_ID, b"Not an id");
    check(KEY_SECRET, &[7; KEY_LEN - 1]);
    check(KEY_BROKER, &[0xff, 0xfe]);
    check(KEY_BAUD, &[1, 2, 3, 4, 5]);
    check(KEY_NETWORK, &[10, 0, 0, 1, 33, 10, 0, 0, 2]);
    check(KEY_PASSWORD, b"short");
    check(KEY_SLEEP, &[1, 2, 3, 4, 5]);
    check(KEY_VALVES, &[0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    check(KEY_PROBES, &[0, 1, 255, 1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 9]);
    check(KEY_PROBES, &[0, 200, 255, 1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1]);
    check(KEY_PASSWORD, b"short");
    check(KEY_BATTERY, &[9, 4, 1, 0, 1, 0]);
    check(KEY_BATTERY, &[1, 4, 1, 0, 0, 0]);
    check(KEY_PROBES, &[0, 17, 255, 1, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 1, 0]);
    // A curve of one point.
    check(KEY_PROBES, &[0, 1, 255, 1, 0, 0, 0, 1, 0, 0, 0, 1, 3, 44, 1, 9, 1, 2, 3, 4]);
}
