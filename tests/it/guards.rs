//! What holds water back holds over a kill of the gateway: rain by its dates, a contact for its hours, a low tank until it has
//! filled.

use giot_gateway::clock::Clock;
use giot_shared::wire::ResetCause;
use giot_tests::giot::{self, Giot, wait_for};
use giot_tests::node::{Kit, PATIENCE, key_from_hex};
use serde_json::{Value, json};
use std::process::Command;

const FARM: &str = r#"
[guards.rain]
gauge = { device = "st01", metric = "rain" }
limit_mm = 5.5
[guards.rain_contact]
gauge = { device = "st01", metric = "rain_contact" }
off_delay_min = 720
[[source]]
id = "river"
[[source]]
id = "well"
tank = { gauge = { device = "t01", metric = "tank_level" }, min = 20.5, resume = 40 }
"#;

/// A zone that heeds one of the three alone.
fn zone(id: &str, source: &str, ignores: &str) -> String {
    format!(
        "[[zone]]\nid = \"{id}\"\nsource = \"{source}\"\nvalve = {{ node = \"{id}\" }}\nignores = {ignores}\n\
         probes = [{{ device = \"n01\", metric = \"soil_moisture\" }}]\n\
         start_below_percent = 22\nstop_above_percent = 30\n"
    )
}

fn publish(gateway: &Giot, device: &str, payload: &Value) {
    let (host, port) = gateway.mqtt.rsplit_once(':').unwrap();
    let topic = format!("giot/v1/{device}/json");
    let status = Command::new("mosquitto_pub")
        .args(["-h", host, "-p", port, "-q", "1", "-t", &topic, "-m", &payload.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "{topic} {payload}");
}

/// What the zones wait for once the soil has spoken.
fn waits(gateway: &Giot) -> Vec<Value> {
    publish(gateway, "n01", &json!({ "soil_moisture": 18.0 }));
    wait_for("the soil and the valves", PATIENCE, || {
        let zones = giot::get(&gateway.http, "/api/v1/overview")["zones"].clone();
        let waits: Vec<Value> = zones.as_array()?.iter().map(|zone| zone["waiting_for"].clone()).collect();
        let has_spoken = |wait: &Value| {
            !["no_reading", "age_unknown", "valve_unknown", "node_offline"]
                .iter()
                .any(|code| wait["code"] == *code)
        };
        waits.iter().all(|wait| wait.is_object() && has_spoken(wait)).then_some(waits)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_forgets_neither_rain_nor_contact_nor_a_low_tank() {
    let dir = tempfile::tempdir().unwrap();
    let farm = [
        FARM.to_owned(),
        zone("a-rain", "river", r#"["rain_contact"]"#),
        zone("b-contact", "river", r#"["rain"]"#),
        zone("c-tank", "well", r#"["rain", "rain_contact"]"#),
    ];
    std::fs::write(dir.path().join("giot.toml"), farm.concat()).unwrap();
    let keys = ["a-rain", "b-contact", "c-tank"].map(|id| (id, giot::add_node(dir.path(), id, "node").key));
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let mqtt = gateway.mqtt.clone();
    let mut nodes = keys.map(|(id, key)| Kit::new(id, key_from_hex(&key), &mqtt).boot(ResetCause::PowerOn));
    for node in &mut nodes {
        node.until_welcomed().await;
    }
    let now = Clock::system(None).wall_unchecked().0;
    let ago = |minutes: i64| now - minutes * 60_000;
    publish(&gateway, "st01", &json!({ "ts": ago(600), "rain": 2.25, "rain_contact": 1 }));
    publish(&gateway, "st01", &json!({ "ts": ago(590), "rain": 4.0 }));
    publish(&gateway, "st01", &json!({ "ts": ago(300), "rain": 0.0, "rain_contact": 0 }));
    publish(&gateway, "t01", &json!({ "tank_level": 10.7 }));
    let want = [
        json!({ "code": "rained", "args": { "rain_mm": 6.25, "limit_mm": 5.5, "hours": 24 } }),
        json!({ "code": "rain_contact", "args": {} }),
        json!({ "code": "tank_low", "args": {
            "source": "well", "level": 10.7, "least": 20.5, "resume": 40.0, "unit": "%" } }),
    ];
    let told = |gateway: &Giot| -> Vec<Value> {
        let waits = waits(gateway);
        waits.iter().map(|wait| json!({ "code": wait["code"], "args": wait["args"] })).collect()
    };
    assert_eq!(told(&gateway), want);
    gateway.kill();
    let gateway = Giot::serve_at(dir.path(), &mqtt, &["--anonymous"]);
    assert_eq!(told(&gateway), want);
    assert!(nodes.iter().all(|node| !node.kit().has_opened()));
}
