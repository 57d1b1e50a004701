//! Golden bytes, round trips through somebody else's codec (rumqttc's), truncation at every byte.

use super::*;
use ::bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rumqttc::v5::mqttbytes::v5 as five;
use rumqttc::{Packet as FourPacket, mqttbytes::QoS as FourQoS};

const LEN_MAX: usize = 64 * 1024;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn read(version: Version, bytes: &[u8]) -> Result<Packet<'_>, Fault> {
    let (frame, len) = split(bytes, LEN_MAX)?.expect("whole");
    assert_eq!(len, bytes.len());
    decode(version, frame)
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// MQTT 5, figure 3-6 "Variable Header Example", with the payload that its flags 0xCE call for.
#[test]
fn the_standards_connect() {
    let packet = bytes(
        "10 24 0004 4D515454 05 CE 000A 05 11 0000000A 0001 61 00 0003 612F62 0002 6869 0001 75 0003 707764 ",
    );
    let mut packet = packet;
    packet[1] = u8::try_from(packet.len() - 2).unwrap();
    let Packet::Connect(connect) = read(Version::V5, &packet).unwrap() else { panic!("no CONNECT") };
    let will = connect.will.unwrap();
    assert_eq!(
        (connect.version, connect.clean, connect.keep_alive_s, connect.session_expiry_s),
        (Version::V5, true, 10, 10)
    );
    assert_eq!(
        (connect.client_id, connect.user, connect.password),
        ("a", Some("u"), Some(b"pwd".as_slice()))
    );
    assert_eq!(
        (will.topic, will.payload, will.quality, will.retain),
        ("a/b", b"hi".as_slice(), Quality::AtLeastOnce, false)
    );
    for end in 0..packet.len() {
        assert_eq!(split(&packet[..end], LEN_MAX), Ok(None), "{end}");
        let mut cut = packet[..end.max(2)].to_vec();
        cut[1] = u8::try_from(cut.len() - 2).unwrap();
        assert!(read(Version::V5, &cut).is_err(), "{end}");
    }
}

/// MQTT 3.1.1 sections 3.3.2 ("a/b", packet id 10), 3.8.3 and 3.10.3 ("a/b" and "c/d").
#[test]
fn the_standards_publish_and_subscribe() {
    let publish = bytes("32 07 0003 612F62 000A");
    let Packet::Publish(read_publish) = read(Version::V3, &publish).unwrap() else { panic!() };
    assert_eq!((read_publish.topic, read_publish.id, read_publish.payload), ("a/b", 10, b"".as_slice()));
    let subscribe = bytes("82 0E 000A 0003 612F62 01 0003 632F64 02");
    let Packet::Subscribe(read_subscribe) = read(Version::V3, &subscribe).unwrap() else { panic!() };
    let filters: Vec<_> = read_subscribe.filters.iter().map(|it| (it.filter, it.quality)).collect();
    assert_eq!(filters, [("a/b", Quality::AtLeastOnce), ("c/d", Quality::ExactlyOnce)]);
    let unsubscribe = bytes("A2 0C 000A 0003 612F62 0003 632F64");
    let Packet::Unsubscribe(read_unsubscribe) = read(Version::V3, &unsubscribe).unwrap() else { panic!() };
    assert_eq!(read_unsubscribe.filters, ["a/b", "c/d"]);
    for (whole, version) in [(publish, Version::V3), (subscribe, Version::V3), (unsubscribe, Version::V3)] {
        for end in 0..whole.len() {
            assert_eq!(split(&whole[..end], LEN_MAX), Ok(None));
        }
        assert!(read(version, &whole).is_ok());
    }
}

#[test]
fn what_the_standard_forbids_is_refused() {
    use Reason::{
        MalformedPacket as M, PacketTooLarge, ProtocolError as P, TopicAliasInvalid, TopicNameInvalid,
    };
    for (what, version, hex, reason) in [
        ("QoS 3", Version::V5, "36 06 0001 61 0001 00", M),
        ("dup with QoS 0", Version::V5, "38 04 0001 61 00", M),
        ("packet id 0", Version::V3, "32 05 0001 61 0000", P),
        ("a wildcard in a topic", Version::V3, "30 03 0001 23", TopicNameInvalid),
        ("no topic", Version::V3, "30 02 0000", TopicNameInvalid),
        ("NUL in a topic", Version::V3, "30 03 0001 00", M),
        ("a topic that is no UTF-8", Version::V3, "30 03 0001 FF", M),
        ("a topic alias", Version::V5, "30 07 0001 61 03 23 0001", TopicAliasInvalid),
        ("a property twice", Version::V5, "30 08 0001 61 04 01 00 01 00", P),
        ("an unknown property", Version::V5, "30 06 0001 61 02 7F 00", M),
        ("a property of another packet", Version::V5, "30 07 0001 61 03 21 0001", P),
        ("properties longer than the packet", Version::V5, "30 04 0001 61 05", M),
        ("PUBREL with wrong flags", Version::V3, "60 02 0001", M),
        ("SUBSCRIBE with wrong flags", Version::V3, "80 06 0001 0001 61 00", M),
        ("SUBSCRIBE for nothing", Version::V3, "82 02 0001", P),
        ("SUBSCRIBE with reserved bits", Version::V3, "82 06 0001 0001 61 04", M),
        ("retain handling 3", Version::V5, "82 07 0001 00 0001 61 30", P),
        ("UNSUBSCRIBE from nothing", Version::V3, "A2 02 0001", P),
        ("bytes behind a PINGREQ", Version::V3, "C0 01 00", M),
        ("a server's packet", Version::V3, "20 02 0000", P),
        ("AUTH before 5", Version::V3, "F0 00", P),
        ("type 0", Version::V5, "00 00", P),
        ("a reserved connect flag", Version::V3, "10 0D 0004 4D515454 04 03 0000 0001 61", M),
        ("another protocol", Version::V3, "10 0D 0004 58585858 04 02 0000 0001 61", P),
        (
            "version 6",
            Version::V3,
            "10 0D 0004 4D515454 06 02 0000 0001 61",
            Reason::UnsupportedProtocolVersion,
        ),
    ] {
        assert_eq!(read(version, &bytes(hex)).err(), Some(Fault(reason)), "{what}");
    }
    assert_eq!(split(&bytes("30 FFFFFFFF 7F"), LEN_MAX), Err(Fault(M)), "a length of five bytes");
    assert_eq!(split(&bytes("30 FFFFFF7F"), LEN_MAX), Err(Fault(PacketTooLarge)), "known before it comes");
    assert_eq!(split(&bytes("30 FFFFFF"), LEN_MAX), Ok(None));
}

#[test]
fn a_message_keeps_what_belongs_to_its_receivers() {
    let properties = five::PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(60),
        response_topic: Some("answer/here".to_owned()),
        correlation_data: Some(Bytes::from_static(b"\x00\xff")),
        user_properties: vec![("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())],
        content_type: Some("text".to_owned()),
        ..five::PublishProperties::default()
    };
    let mut publish =
        five::Publish::new("a/b", rumqttc::v5::mqttbytes::QoS::AtLeastOnce, "hi", Some(properties.clone()));
    publish.pkid = 7;
    let mut out = BytesMut::new();
    publish.write(&mut out).unwrap();
    let Packet::Publish(ours) = read(Version::V5, &out).unwrap() else { panic!("no PUBLISH") };
    assert_eq!((ours.topic, ours.id, ours.expiry_s, ours.payload), ("a/b", 7, Some(60), b"hi".as_slice()));
    let outbound = Outbound {
        topic: ours.topic,
        payload: ours.payload,
        quality: Quality::AtLeastOnce,
        retain: true,
        dup: true,
        id: 300,
        expiry_s: Some(59),
        subscription_ids: &[5, 300],
        forwarded: &forwarded(ours.properties),
    };
    let sent = written(|out| super::publish(out, Version::V5, &outbound));
    assert_eq!(sent.len(), publish_len(Version::V5, &outbound));
    let mut stream = BytesMut::from(sent.as_slice());
    let five::Packet::Publish(theirs) = five::Packet::read(&mut stream, None).unwrap() else { panic!() };
    assert_eq!(
        (theirs.pkid, theirs.dup, theirs.retain, &theirs.payload[..]),
        (300, true, true, b"hi".as_slice())
    );
    let expected = five::PublishProperties {
        message_expiry_interval: Some(59),
        subscription_identifiers: vec![5, 300],
        ..properties
    };
    assert_eq!(theirs.properties, Some(expected));
}

#[test]
fn others_understand_what_the_server_sends() {
    let accepted = Accepted {
        session_present: true,
        assigned_id: Some("auto-1"),
        session_expiry_s: Some(3600),
        receive_max: 64,
        packet_len_max: 33_792,
    };
    let mut stream = BytesMut::from(written(|out| connack(out, Version::V5, accepted)).as_slice());
    let five::Packet::ConnAck(theirs) = five::Packet::read(&mut stream, None).unwrap() else { panic!() };
    let properties = theirs.properties.unwrap();
    assert!(theirs.session_present);
    assert_eq!((properties.receive_max, properties.max_packet_size), (Some(64), Some(33_792)));
    assert_eq!((properties.shared_subscription_available, properties.topic_alias_max), (Some(0), None));
    assert_eq!(properties.assigned_client_identifier.as_deref(), Some("auto-1"));
    let plain: [(Vec<u8>, FourPacket); 4] = [
        (
            written(|out| connack_refused(out, Version::V3, Reason::BadUserNameOrPassword)),
            FourPacket::ConnAck(rumqttc::ConnAck::new(
                rumqttc::ConnectReturnCode::BadUserNamePassword,
                false,
            )),
        ),
        (
            written(|out| suback(out, Version::V3, 9, &[1, Reason::QuotaExceeded.code()])),
            FourPacket::SubAck(rumqttc::SubAck::new(
                9,
                vec![
                    rumqttc::SubscribeReasonCode::Success(FourQoS::AtLeastOnce),
                    rumqttc::SubscribeReasonCode::Failure,
                ],
            )),
        ),
        (written(|out| ack_of(out, 0x40)), FourPacket::PubAck(rumqttc::PubAck::new(513))),
        (written(|out| ack_of(out, 0x62)), FourPacket::PubRel(rumqttc::PubRel::new(513))),
    ];
    for (sent, expected) in plain {
        let mut stream = BytesMut::from(sent.as_slice());
        assert_eq!(FourPacket::read(&mut stream, LEN_MAX).unwrap(), expected);
    }
    assert_eq!(written(|out| unsuback(out, Version::V5, 10, &[0, 0x11])), bytes("B0 05 000A 00 00 11"));
    assert_eq!(written(|out| disconnect(out, Version::V3, Reason::ServerShuttingDown)), Vec::<u8>::new());
    assert_eq!(written(|out| disconnect(out, Version::V5, Reason::ServerShuttingDown)), bytes("E0 01 8B"));
    assert_eq!(written(|out| ack(out, Version::V5, 0x40, 1, Reason::NotAuthorized)), bytes("40 03 0001 87"));
    assert_eq!(written(|out| ack(out, Version::V3, 0x40, 1, Reason::NotAuthorized)), bytes("40 02 0001"));
}

/// With a reason that 3.1.1 has no byte for.
fn ack_of(out: &mut Vec<u8>, first: u8) {
    ack(out, Version::V3, first, 513, Reason::NotAuthorized);
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet_or_a_fault(first: u8, body in prop::collection::vec(any::<u8>(), 0..80)) {
        for version in [Version::V3, Version::V5] {
            if let Ok(Packet::Publish(publish)) = decode(version, Frame { first, body: &body }) {
                prop_assert!(!publish.topic.is_empty() && publish.payload.len() < body.len());
                prop_assert!(forwarded(publish.properties).len() <= publish.properties.len());
            }
        }
        if let Ok(Some((frame, len))) = split(&body, 50) {
            prop_assert!(frame.body.len() < len && len <= 50);
        }
    }

    #[test]
    fn a_message_goes_through_both_codecs(
        topic in "[a-z/]{1,200}", payload in prop::collection::vec(any::<u8>(), 0..300), id in 1_u16.., retain: bool,
    ) {
        let outbound = Outbound {
            topic: &topic, payload: &payload, quality: Quality::AtLeastOnce, retain, dup: false, id,
            expiry_s: None, subscription_ids: &[], forwarded: &[],
        };
        let sent = written(|out| publish(out, Version::V3, &outbound));
        prop_assert_eq!(sent.len(), publish_len(Version::V3, &outbound));
        let mut stream = BytesMut::from(sent.as_slice());
        let theirs = FourPacket::read(&mut stream, LEN_MAX);
        let FourPacket::Publish(theirs) = theirs.unwrap() else { panic!("no PUBLISH") };
        prop_assert_eq!((&theirs.topic, &theirs.payload[..], theirs.pkid), (&topic, &payload[..], id));
        let Ok(Packet::Publish(ours)) = read(Version::V3, &sent) else { panic!("no PUBLISH") };
        prop_assert_eq!((ours.topic, ours.payload, ours.id, ours.retain), (&*topic, &payload[..], id, retain));
    }
}
