//! The MQTT port keeps its promises, whichever broker stands behind it: the same checks run against the embedded broker
//! and against a real Mosquitto; what only one of them can do is checked below.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_imports,
    reason = "helpers of tests fail the test"
)]

use anyhow::Context;
use bytes::Bytes;
use giot_gateway::mqtt::broker::Limits;
use giot_gateway::mqtt::client::Settings;
use giot_gateway::mqtt::{Access, Delivery, Incoming, Link, Login, Qos, Running, acl, broker, client};
use giot_tests::device::{Connect, Device, Packet, Version};
use giot_tests::mosquitto::{GATEWAY_USER, Mosquitto, PASSWORD};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

const PREFIX: &str = "giot/v1";
const DEVICES: [&str; 3] = ["n1", "n2", "n3"];
const BOTH: [Version; 2] = [Version::V311, Version::V5];
/// Longest wait for anything; far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

struct Port {
    link: Link,
    incoming: Incoming,
    running: Running,
    tcp: u16,
    mosquitto: Option<Mosquitto>,
}

/// The registry's rules, over a list of names.
struct Rules;

impl Access for Rules {
    fn check_login(&self, _: &str, user: Option<&str>, password: Option<&[u8]>) -> Login {
        match (user, password) {
            (Some(user), Some(password)) if DEVICES.contains(&user) && password == PASSWORD.as_bytes() => {
                Login::User(user.to_owned())
            }
            _ => Login::Denied,
        }
    }

    fn may_publish(&self, user: Option<&str>, topic: &str) -> bool {
        user.is_some_and(|user| acl::allows_publish(PREFIX, user, topic))
    }

    fn may_subscribe(&self, user: Option<&str>, filter: &str) -> bool {
        user.is_some_and(|user| acl::allows_subscribe(PREFIX, user, filter))
    }
}

async fn embedded() -> Port {
    let addr = (Ipv4Addr::LOCALHOST, 0).into();
    let started = broker::start(addr, Arc::new(Rules), PREFIX, Limits::default()).await.unwrap();
    assert!(started.link.is_up());
    Port {
        link: started.link,
        incoming: started.incoming,
        running: started.running,
        tcp: started.addr.port(),
        mosquitto: None,
    }
}

async fn external() -> Port {
    let mosquitto = Mosquitto::start(PREFIX, &DEVICES).unwrap();
    let started = client::start(settings(&mosquitto), || 0);
    let port = Port {
        link: started.link,
        incoming: started.incoming,
        running: started.running,
        tcp: mosquitto.port(),
        mosquitto: Some(mosquitto),
    };
    up(&port.link).await;
    port
}

fn settings(mosquitto: &Mosquitto) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port: mosquitto.port(),
        credentials: Some((GATEWAY_USER.to_owned(), PASSWORD.to_owned())),
        prefix: PREFIX.to_owned(),
        client_id: "giot-gateway-test".to_owned(),
    }
}

async fn up(link: &Link) {
    timeout(PATIENCE, link.up().wait_for(|up| *up)).await.expect("the link comes up").unwrap();
}

impl Port {
    async fn next(&mut self) -> Delivery {
        timeout(PATIENCE, self.incoming.recv()).await.expect("a message in time").expect("the port is open")
    }

    async fn next_accepted(&mut self) -> (String, Bytes) {
        let Delivery { topic, payload, ack, .. } = self.next().await;
        ack.accept();
        (topic.to_string(), payload)
    }

    fn send(&self, topic: &str, payload: &'static [u8]) {
        self.link.publish(topic, Bytes::from_static(payload), Qos::AtLeastOnce, false, None).unwrap();
    }

    async fn device(&self, version: Version, name: &str) -> Device {
        self.connect(Connect { version, ..login(name) }).await
    }

    async fn connect(&self, options: Connect<'_>) -> Device {
        Device::connect(self.tcp, options).await.unwrap().expect("the login is good")
    }
}

fn login(name: &str) -> Connect<'_> {
    Connect {
        version: Version::V311,
        client_id: name,
        login: Some((name, PASSWORD)),
        clean: true,
        will: None,
    }
}

async fn puback(device: &mut Device, id: u16) {
    assert_eq!(device.packet().await.unwrap(), Some(Packet::PubAck(id, 0)));
}

/// One test of each check against each broker.
macro_rules! for_both {
    ($($check:ident)*) => {
        mod embedded_broker { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                super::$check(super::embedded().await).await;
            }
        )* }
        mod mosquitto { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                super::$check(super::external().await).await;
            }
        )* }
    };
}

for_both! {
    messages_of_both_versions_and_qualities_arrive
    client_libraries_and_tools_work
    what_the_gateway_publishes_reaches_devices
    wrong_credentials_are_refused
    a_device_stays_within_its_own_topics
    a_thousand_messages_keep_their_order
    a_message_that_was_not_stored_comes_again
    a_lost_device_is_told_by_its_will
    an_oversized_message_harms_nobody_else
    two_hundred_devices_share_one_address
    stopping_ends_the_input_and_settles_what_is_under_way
}

async fn messages_of_both_versions_and_qualities_arrive(mut port: Port) {
    for version in BOTH {
        let mut device = port.device(version, "n1").await;
        device.publish("giot/v1/n1/json", b"{\"a\":0}", 0, 0).await.unwrap();
        assert_eq!(
            port.next_accepted().await,
            ("giot/v1/n1/json".to_owned(), Bytes::from_static(b"{\"a\":0}"))
        );
        device.publish("giot/v1/n1/up", b"\x01\x00\xff", 1, 9).await.unwrap();
        assert_eq!(
            port.next_accepted().await,
            ("giot/v1/n1/up".to_owned(), Bytes::from_static(b"\x01\x00\xff"))
        );
        puback(&mut device, 9).await;
        device.publish("giot/v1/n1/up", b"two", 2, 10).await.unwrap();
        // A broker between us hands it on only after the second step.
        let mut answers = Vec::new();
        let delivery = if port.mosquitto.is_some() {
            answers.push(device.packet().await.unwrap());
            device.release(10).await.unwrap();
            answers.push(device.packet().await.unwrap());
            port.next_accepted().await
        } else {
            let delivery = port.next_accepted().await;
            answers.push(device.packet().await.unwrap());
            device.release(10).await.unwrap();
            answers.push(device.packet().await.unwrap());
            delivery
        };
        assert_eq!(delivery.1, Bytes::from_static(b"two"));
        assert_eq!(answers, [Some(Packet::PubRec(10)), Some(Packet::PubComp(10))]);
    }
}

async fn client_libraries_and_tools_work(mut port: Port) {
    let mut options = rumqttc::MqttOptions::new("lib-4", "127.0.0.1", port.tcp);
    options.set_credentials("n1", PASSWORD);
    let (library, mut events) = rumqttc::AsyncClient::new(options, 10);
    library.publish("giot/v1/n1/json", rumqttc::QoS::AtLeastOnce, false, "{\"v\":4}").await.unwrap();
    let four = tokio::spawn(async move {
        loop {
            if let rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_)) = events.poll().await.unwrap() {
                return;
            }
        }
    });
    assert_eq!(port.next_accepted().await.1, Bytes::from_static(b"{\"v\":4}"));
    timeout(PATIENCE, four).await.unwrap().unwrap();

    let mut options = rumqttc::v5::MqttOptions::new("lib-5", "127.0.0.1", port.tcp);
    options.set_credentials("n2", PASSWORD);
    let (library, mut events) = rumqttc::v5::AsyncClient::new(options, 10);
    let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
    library.publish("giot/v1/n2/json", qos, false, "{\"v\":5}").await.unwrap();
    let five = tokio::spawn(async move {
        use rumqttc::v5::mqttbytes::v5::Packet as Packet5;
        loop {
            if let rumqttc::v5::Event::Incoming(Packet5::PubAck(_)) = events.poll().await.unwrap() {
                return;
            }
        }
    });
    assert_eq!(port.next_accepted().await.1, Bytes::from_static(b"{\"v\":5}"));
    timeout(PATIENCE, five).await.unwrap().unwrap();

    for version in ["311", "5"] {
        let mut tool = tool("mosquitto_pub", port.tcp, "n3", version);
        tool.args(["-q", "1", "-t", "giot/v1/n3/json", "-m", "{\"tool\":1}"]);
        let mut tool =
            tool.spawn().expect("mosquitto_pub; install it with `apt-get install mosquitto-clients`");
        assert_eq!(port.next_accepted().await.1, Bytes::from_static(b"{\"tool\":1}"));
        assert!(timeout(PATIENCE, tool.wait()).await.unwrap().unwrap().success());

        let mut listener = self::tool("mosquitto_sub", port.tcp, "n3", version);
        // A retained state of its own is the sign that it is subscribed.
        let mut device = port.device(Version::V311, "n3").await;
        device.publish_retained("giot/v1/n3/status", b"online", 1).await.unwrap();
        assert_eq!(port.next_accepted().await.0, "giot/v1/n3/status");
        puback(&mut device, 1).await;
        listener.args(["-q", "1", "-C", "2", "-F", "%t %p", "-t", "giot/v1/n3/#"]);
        listener.stdout(std::process::Stdio::piped());
        let mut listener = listener.spawn().unwrap();
        let mut lines =
            tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(listener.stdout.take().unwrap()));
        let first = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(first.as_deref(), Some("giot/v1/n3/status online"));
        port.send("giot/v1/n3/down", b"hello");
        let second = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(second.as_deref(), Some("giot/v1/n3/down hello"));
        assert!(timeout(PATIENCE, listener.wait()).await.unwrap().unwrap().success());
    }
}

fn tool(program: &str, port: u16, user: &str, version: &str) -> tokio::process::Command {
    let mut tool = tokio::process::Command::new(program);
    tool.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-u", user, "-P", PASSWORD, "-V", version]);
    tool.kill_on_drop(true);
    tool
}

async fn what_the_gateway_publishes_reaches_devices(port: Port) {
    for (version, name) in BOTH.into_iter().zip(["n1", "n2"]) {
        let down = format!("giot/v1/{name}/down");
        let mut device = port.device(version, name).await;
        assert_eq!(device.subscribe(&down).await.unwrap(), 1, "QoS 1 granted");
        for n in 0..20_u8 {
            port.link.publish(&down, Bytes::from(vec![n]), Qos::AtLeastOnce, false, Some(PATIENCE)).unwrap();
        }
        for n in 0..20_u8 {
            let Some(Packet::Publish { topic, payload, id, retained }) = device.packet().await.unwrap()
            else {
                panic!("not a message")
            };
            assert_eq!((topic.as_str(), payload, retained), (down.as_str(), vec![n], false));
            device.ack(id).await.unwrap();
        }
        port.link.publish(&down, Bytes::from_static(b"at most once"), Qos::AtMostOnce, false, None).unwrap();
        let Some(Packet::Publish { payload, id: 0, .. }) = device.packet().await.unwrap() else {
            panic!("not a QoS 0 message")
        };
        assert_eq!(payload, b"at most once");
    }
}

async fn wrong_credentials_are_refused(port: Port) {
    for version in BOTH {
        for login_as in [None, Some(("n1", "wrong")), Some(("nobody", PASSWORD)), Some(("", ""))] {
            let options = Connect { version, login: login_as, ..login("n1") };
            let refused = Device::connect(port.tcp, options).await.unwrap().err();
            // 4, 5: 3.1.1; 0x86, 0x87: 5. Bad user name or password, or not authorised.
            assert!(matches!(refused, Some(4 | 5 | 0x86 | 0x87)), "{version:?} {login_as:?}: {refused:?}");
        }
    }
}

async fn a_device_stays_within_its_own_topics(mut port: Port) {
    for version in BOTH {
        let mut device = port.device(version, "n1").await;
        let foreign =
            ["giot/v1/n2/up", "giot/v1/n2/json", "giot/v1/n1/down", "giot/v1/n2/status", "other/n1/up"];
        for topic in foreign {
            device.publish(topic, b"forged", 1, 5).await.unwrap();
            assert!(matches!(device.packet().await.unwrap(), Some(Packet::PubAck(5, _))), "{topic}");
        }
        for filter in ["giot/v1/n2/#", "giot/v1/+/down", "#", "$SYS/#", "$share/g/giot/v1/n2/down"] {
            let code = device.subscribe(filter).await.unwrap();
            // Mosquitto grants every filter and holds back the messages.
            assert!(code >= 0x80 || port.mosquitto.is_some(), "{filter} was granted: {code}");
        }
        assert_eq!(device.subscribe("giot/v1/n1/down").await.unwrap(), 1);
        port.send("giot/v1/n2/down", b"not yours");
        port.send("giot/v1/n1/down", b"yours");
        let Some(Packet::Publish { payload, id, .. }) = device.packet().await.unwrap() else {
            panic!("no message")
        };
        assert_eq!(payload, b"yours");
        device.ack(id).await.unwrap();
        // The first message that comes in is the allowed one: the forged ones were dropped.
        let mut other = port.device(version, "n2").await;
        other.publish("giot/v1/n2/up", b"genuine", 1, 6).await.unwrap();
        assert_eq!(port.next_accepted().await.1, Bytes::from_static(b"genuine"));
        puback(&mut other, 6).await;
        // Mosquitto sends a message once for each filter it matches.
        let rest = device.until_pong().await.unwrap();
        let own =
            |packet: &Packet| matches!(packet, Packet::Publish { topic, .. } if topic == "giot/v1/n1/down");
        assert!(rest.iter().all(own), "{rest:?}");
    }
}

async fn a_thousand_messages_keep_their_order(mut port: Port) {
    const N: u16 = 1000;
    let mut device = port.device(Version::V5, "n1").await;
    let sender = tokio::spawn(async move {
        let (mut sent, mut acked) = (0, 0);
        while acked < N {
            while sent < N && sent < acked + 20 {
                sent += 1;
                device.publish("giot/v1/n1/json", sent.to_string().as_bytes(), 1, sent).await.unwrap();
            }
            acked += 1;
            puback(&mut device, acked).await;
        }
    });
    for n in 1..=N {
        assert_eq!(port.next_accepted().await.1, Bytes::from(n.to_string()));
    }
    timeout(PATIENCE, sender).await.unwrap().unwrap();
    assert_eq!((port.link.meter().received(), port.link.meter().accepted()), (u64::from(N), u64::from(N)));
}

async fn a_message_that_was_not_stored_comes_again(mut port: Port) {
    let options = Connect { clean: false, ..login("n1") };
    let mut device = port.connect(options).await;
    device.publish("giot/v1/n1/up", b"first", 1, 1).await.unwrap();
    let delivery = port.next().await;
    assert_eq!(delivery.payload, Bytes::from_static(b"first"));
    drop(delivery);
    if port.mosquitto.is_none() {
        // No PUBACK, and the connection ends so that the device notices.
        assert_eq!(device.packet().await.unwrap(), None);
        device = port.connect(options).await;
        assert!(device.session_present, "a library would forget what it had in flight");
        device.publish("giot/v1/n1/up", b"first", 1, 1).await.unwrap();
    }
    assert_eq!(port.next_accepted().await.1, Bytes::from_static(b"first"));
    puback(&mut device, 1).await;
    up(&port.link).await;
    device.publish("giot/v1/n1/up", b"second", 1, 2).await.unwrap();
    assert_eq!(port.next_accepted().await.1, Bytes::from_static(b"second"));
    assert_eq!(port.link.meter().refused(), 1);
}

async fn a_lost_device_is_told_by_its_will(mut port: Port) {
    for version in BOTH {
        let will = Some(("giot/v1/n1/status", b"offline".as_slice()));
        let mut device = port.connect(Connect { version, will, ..login("n1") }).await;
        device.publish_retained("giot/v1/n1/status", b"online", 1).await.unwrap();
        puback(&mut device, 1).await;
        let online = port.next().await;
        assert_eq!((&*online.topic, online.payload.as_ref()), ("giot/v1/n1/status", b"online".as_slice()));
        online.ack.accept();
        drop(device);
        let offline = port.next().await;
        assert_eq!((&*offline.topic, offline.payload.as_ref()), ("giot/v1/n1/status", b"offline".as_slice()));
        offline.ack.accept();
        // Others see it too, later as well.
        let mut later = port.device(version, "n1").await;
        subscribe_to_retained(&mut later, "giot/v1/n1/status", b"offline").await;
    }
}

/// Subscribes and expects a retained message, before or after the SUBACK: brokers differ.
async fn subscribe_to_retained(device: &mut Device, filter: &str, expected: &[u8]) {
    device.send_subscribe(filter).await.unwrap();
    for _ in 0..2 {
        match device.packet().await.unwrap() {
            Some(Packet::SubAck(code)) => assert_eq!(code, 1),
            Some(Packet::Publish { payload, retained, .. }) => {
                assert_eq!((payload.as_slice(), retained), (expected, true));
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

async fn an_oversized_message_harms_nobody_else(mut port: Port) {
    let mut bystander = port.device(Version::V5, "n2").await;
    let mut device = port.device(Version::V5, "n1").await;
    // The embedded broker hangs up while it is still being sent.
    device.publish("giot/v1/n1/json", &vec![b'x'; 40_000], 1, 1).await.ok();
    let answer = device.packet().await.unwrap();
    let expected = if port.mosquitto.is_some() { Some(Packet::PubAck(1, 0)) } else { None };
    assert!(answer == expected || answer == Some(Packet::Disconnect), "{answer:?}");
    bystander.publish("giot/v1/n2/json", b"{}", 1, 1).await.unwrap();
    assert_eq!(port.next_accepted().await.0, "giot/v1/n2/json");
    puback(&mut bystander, 1).await;
    assert!(port.link.is_up());
    assert_eq!(port.link.meter().oversized(), u64::from(port.mosquitto.is_some()));
}

async fn two_hundred_devices_share_one_address(mut port: Port) {
    let mut devices = Vec::new();
    for n in 0..200 {
        let client_id = format!("many-{n}");
        let version = BOTH[n % 2];
        devices.push(port.connect(Connect { version, client_id: &client_id, ..login("n1") }).await);
    }
    for (n, device) in devices.iter_mut().enumerate() {
        device.publish("giot/v1/n1/json", n.to_string().as_bytes(), 1, 1).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        seen.insert(port.next_accepted().await.1);
    }
    assert_eq!(seen.len(), 200);
    for device in &mut devices {
        puback(device, 1).await;
    }
}

async fn stopping_ends_the_input_and_settles_what_is_under_way(mut port: Port) {
    let mut device = port.device(Version::V5, "n1").await;
    assert_eq!(device.subscribe("giot/v1/n1/down").await.unwrap(), 1);
    device.publish("giot/v1/n1/up", b"last", 1, 1).await.unwrap();
    let last = port.next().await;
    port.send("giot/v1/n1/down", b"close");
    let stopping = tokio::spawn(port.running.stop());
    assert!(timeout(PATIENCE, port.incoming.recv()).await.unwrap().is_none(), "the input ends");
    last.ack.accept();
    let mut got = [device.packet().await.unwrap(), device.packet().await.unwrap()];
    got.sort_by_key(|packet| matches!(packet, Some(Packet::Publish { .. })));
    assert_eq!(got[0], Some(Packet::PubAck(1, 0)));
    assert!(matches!(&got[1], Some(Packet::Publish { payload, .. }) if payload == b"close"), "{got:?}");
    timeout(PATIENCE, stopping).await.expect("stopping takes seconds").unwrap();
    let refused = port.link.publish("giot/v1/n1/down", Bytes::new(), Qos::AtLeastOnce, false, None);
    assert_eq!(refused, Err(giot_gateway::mqtt::PublishError::Stopped));
    assert!(!port.link.is_up());
    assert_eq!((port.link.meter().accepted(), port.link.meter().published()), (1, 1));
}

mod embedded_only {
    use super::*;

    #[tokio::test]
    async fn a_puback_waits_for_the_store_and_a_command_does_not() {
        let mut port = embedded().await;
        for version in BOTH {
            let mut device = port.device(version, "n1").await;
            assert_eq!(device.subscribe("giot/v1/n1/down").await.unwrap(), 1);
            device.publish("giot/v1/n1/up", b"dry", 1, 3).await.unwrap();
            let reading = port.next().await;
            assert_eq!(device.until_pong().await.unwrap(), [], "nothing is acknowledged yet");
            port.send("giot/v1/n1/down", b"open");
            let Some(Packet::Publish { payload, id, .. }) = device.packet().await.unwrap() else {
                panic!("no command")
            };
            assert_eq!(payload, b"open");
            device.ack(id).await.unwrap();
            // Accepting is done by the store's own thread, which has no runtime.
            std::thread::spawn(move || reading.ack.accept()).join().unwrap();
            puback(&mut device, 3).await;
        }
    }

    #[tokio::test]
    async fn pubacks_follow_the_order_of_acceptance() {
        let mut port = embedded().await;
        let mut device = port.device(Version::V311, "n1").await;
        let mut waiting = Vec::new();
        for id in 1..=20 {
            device.publish("giot/v1/n1/json", b"{}", 1, id).await.unwrap();
            waiting.push(port.next().await);
        }
        for delivery in waiting {
            delivery.ack.accept();
        }
        for id in 1..=20 {
            puback(&mut device, id).await;
        }
    }

    #[tokio::test]
    async fn a_flood_that_nobody_stores_stops_itself_only() {
        let mut port = embedded().await;
        let mut flooder = port.device(Version::V311, "n1").await;
        let flood = tokio::spawn(async move {
            let payload = vec![b'x'; 1000];
            // Ends with an error when the test closes the broker.
            while flooder.publish("giot/v1/n1/json", &payload, 0, 0).await.is_ok() {}
        });
        let mut held = Vec::new();
        // The window holds 64 messages below 1 KiB; more do not come however long one waits.
        for _ in 0..64 {
            held.push(port.next().await);
        }
        let mut other = port.device(Version::V311, "n2").await;
        other.publish("giot/v1/n2/up", b"heard", 1, 1).await.unwrap();
        assert_eq!(port.next_accepted().await.1, Bytes::from_static(b"heard"));
        puback(&mut other, 1).await;
        assert!(port.incoming.try_recv().is_err(), "the flood waits");
        held.pop().unwrap().ack.accept();
        assert_eq!(&*port.next().await.topic, "giot/v1/n1/json", "a place became free");
        drop(held);
        drop(port);
        timeout(PATIENCE, flood).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_brokers_own_topics_cannot_be_used_against_it() {
        let mut port = embedded().await;
        let mut device = port.device(Version::V5, "n1").await;
        assert!(device.subscribe("$giot/#").await.unwrap() >= 0x80);
        device.publish("giot/v1/n1/up", b"kept back", 1, 1).await.unwrap();
        let held = port.next().await;
        device.publish("$giot/marker", &[0; 64], 1, 1).await.unwrap();
        assert_eq!(
            device.packet().await.unwrap(),
            Some(Packet::PubAck(1, 0)),
            "for the forged message itself"
        );
        assert_eq!(port.link.meter().accepted(), 0);
        held.ack.accept();
        puback(&mut device, 1).await;
        assert_eq!(port.link.meter().received(), 1);
    }

    #[tokio::test]
    async fn too_many_kept_sessions_are_refused() {
        let addr = (Ipv4Addr::LOCALHOST, 0).into();
        let limits = Limits { sessions_max: 3, ..Limits::default() };
        let started = broker::start(addr, Arc::new(Rules), PREFIX, limits).await.unwrap();
        let tcp = started.addr.port();
        let connect = async |user: &'static str, client_id: &str, clean| {
            let device = Device::connect(tcp, Connect { client_id, clean, ..login(user) }).await.unwrap();
            device.map(drop)
        };
        assert_eq!(connect("n1", "a", false).await, Ok(()));
        assert_eq!(connect("n1", "b", false).await, Ok(()));
        assert!(connect("n1", "c", false).await.is_err(), "one user keeps half of them, rounded up");
        assert_eq!(connect("n2", "a", false).await, Ok(()), "another has room");
        assert!(connect("n2", "b", false).await.is_err(), "there is no more for anybody");
        assert_eq!(connect("n2", "b", true).await, Ok(()), "without a session there is always room");
        assert_eq!(connect("n1", "a", false).await, Ok(()), "whoever has one may come back");
    }
}

mod mosquitto_only {
    use super::*;

    /// What a device was told.
    #[derive(Default)]
    struct Told {
        confirmed: Vec<u32>,
        /// The last confirmed one of each connection that broke.
        last_words: Vec<u32>,
    }

    /// Sends numbered messages, one at a time, until `stop`, over as many connections as it takes.
    async fn publish_until(tcp: u16, name: &'static str, stop: watch::Receiver<bool>) -> Told {
        let (mut next, mut told) = (0_u32, Told::default());
        while !*stop.borrow() {
            let connected = Device::connect(tcp, login(name)).await;
            let Ok(Ok(mut device)) = connected else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            while !*stop.borrow() {
                let id = u16::try_from(next % 60_000 + 1).unwrap();
                let sent =
                    device.publish(&format!("giot/v1/{name}/json"), next.to_string().as_bytes(), 1, id).await;
                let answer = if sent.is_ok() { device.packet().await.ok().flatten() } else { None };
                if answer != Some(Packet::PubAck(id, 0)) {
                    told.last_words.extend(told.confirmed.last().copied());
                    break;
                }
                told.confirmed.push(next);
                next += 1;
            }
        }
        told
    }

    /// Mosquitto confirms first and saves in the same turn of its loop, so a kill between the two loses what it has
    /// confirmed in that turn: at most the last message of each device here. Everything before must come through.
    /// Our own nodes lose nothing at all: they keep a record until the gateway's own Ack.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_killed_broker_loses_at_most_what_it_confirmed_last() {
        let mut port = external().await;
        let (stop, stopped) = watch::channel(false);
        let senders =
            ["n1", "n2"].map(|name| (name, tokio::spawn(publish_until(port.tcp, name, stopped.clone()))));
        let mut seen = BTreeSet::new();
        for round in 0..3 {
            for _ in 0..200 {
                seen.insert(port.next_accepted().await);
            }
            if round < 2 {
                let mosquitto = port.mosquitto.as_mut().unwrap();
                mosquitto.kill();
                mosquitto.restart().unwrap();
            }
        }
        stop.send(true).unwrap();
        let mut told = Vec::new();
        for (name, sender) in senders {
            told.push((name, timeout(PATIENCE, sender).await.unwrap().unwrap()));
        }
        // A message behind all others tells that they are through.
        let mut last = port.device(Version::V311, "n3").await;
        last.publish("giot/v1/n3/up", b"last", 1, 1).await.unwrap();
        loop {
            let message = port.next_accepted().await;
            if message.0 == "giot/v1/n3/up" {
                break;
            }
            seen.insert(message);
        }
        for (name, Told { confirmed, last_words }) in told {
            let arrived =
                |n: &u32| seen.contains(&(format!("giot/v1/{name}/json"), Bytes::from(n.to_string())));
            let lost: Vec<u32> = confirmed.iter().copied().filter(|n| !arrived(n)).collect();
            assert!(confirmed.len() > 50, "only {} confirmed", confirmed.len());
            assert!(
                lost.iter().all(|n| last_words.contains(n)),
                "{name} lost {lost:?}, last words {last_words:?}"
            );
            assert!(last_words.len() <= 2, "{name} broke {last_words:?}");
        }
        assert!(port.link.meter().reconnects() >= 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn commands_wait_for_the_broker_but_not_beyond_their_time() {
        let mut port = external().await;
        let mut mosquitto = port.mosquitto.take().unwrap();
        mosquitto.kill();
        timeout(PATIENCE, port.link.up().wait_for(|up| !*up)).await.expect("the loss is noticed").unwrap();
        let command = |text: &'static str, ttl| {
            let payload = Bytes::from_static(text.as_bytes());
            port.link.publish("giot/v1/n1/down", payload, Qos::AtLeastOnce, false, ttl).unwrap();
        };
        command("expired", Some(Duration::from_millis(1)));
        command("in time", Some(PATIENCE));
        command("whenever", None);
        timeout(PATIENCE, async {
            while port.link.meter().expired() == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("the first one expires");
        // The device must be there before the gateway, or the broker has nobody to give the commands to.
        mosquitto.restart().unwrap();
        let mut device = port.device(Version::V311, "n1").await;
        let code = device.subscribe("giot/v1/n1/down").await.unwrap();
        assert_eq!(code, 1);
        up(&port.link).await;
        let mut got = Vec::new();
        while got.len() < 2 {
            if let Some(Packet::Publish { payload, id, .. }) = device.packet().await.unwrap() {
                device.ack(id).await.unwrap();
                got.push(String::from_utf8(payload).unwrap());
            }
        }
        assert_eq!(got, ["in time", "whenever"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_comes_while_the_gateway_is_away_waits_at_the_broker() {
        let mut port = external().await;
        let mosquitto = port.mosquitto.take().unwrap();
        port.running.stop().await;
        let mut device = Device::connect(mosquitto.port(), login("n1")).await.unwrap().unwrap();
        for id in 1..=50 {
            device.publish("giot/v1/n1/json", id.to_string().as_bytes(), 1, id).await.unwrap();
            puback(&mut device, id).await;
        }
        let mut again = client::start(settings(&mosquitto), || 0);
        for id in 1..=50 {
            let delivery = timeout(PATIENCE, again.incoming.recv()).await.unwrap().unwrap();
            assert_eq!(delivery.payload, Bytes::from(id.to_string()));
            delivery.ack.accept();
        }
        again.running.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_gateway_with_a_wrong_password_keeps_trying_and_stays_down() {
        let mosquitto = Mosquitto::start(PREFIX, &DEVICES).unwrap();
        let mut wrong = settings(&mosquitto);
        wrong.credentials = Some((GATEWAY_USER.to_owned(), "wrong".to_owned()));
        let started = client::start(wrong, || 0);
        timeout(PATIENCE, async {
            while started.link.meter().reconnects() < 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .context("it tries again")
        .unwrap();
        assert!(!started.link.is_up());
        timeout(PATIENCE, started.running.stop()).await.expect("it can be stopped meanwhile");
    }
}
