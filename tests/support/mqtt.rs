//! What a broken or hostile broker could send to a client of MQTT 5: packets that are none, and packets that make no sense. The same
//! for the same source of noise.

use crate::noise::Noise;

/// The kinds of packets (MQTT 5.0, 2.1.2), with the flags that belong to them.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const UNSUBSCRIBE: u8 = 0xa2;
const UNSUBACK: u8 = 0xb0;
const PINGREQ: u8 = 0xc0;
const PINGRESP: u8 = 0xd0;
const DISCONNECT: u8 = 0xe0;
const AUTH: u8 = 0xf0;

/// Longest remaining length that there is.
const LEN_MAX: usize = 268_435_455;
/// Most bytes of anything here that is longer than it should be.
const RAW_LEN_MAX: usize = 60;

/// A packet of a kind.
///
/// # Panics
/// When the body is longer than any.
#[must_use]
pub fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    packet.extend(varint(body.len()));
    packet.extend(body);
    packet
}

/// A publication: `flags` are those of the kind, `number` stands where there is more than QoS 0, and `properties` are bytes.
///
/// # Panics
/// When the topic is longer than any.
#[must_use]
pub fn publication(flags: u8, topic: &[u8], number: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).expect("short").to_be_bytes().to_vec();
    body.extend(topic);
    if flags & 0b110 != 0 {
        body.extend(number.to_be_bytes());
    }
    body.extend(varint(properties.len()));
    body.extend(properties);
    body.extend(payload);
    packet(PUBLISH | flags, &body)
}

/// A number of seven bits a byte, the low ones first.
fn varint(mut rest: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(rest % 128).expect("below 128");
        rest /= 128;
        bytes.push(if rest > 0 { low | 128 } else { low });
        if rest == 0 {
            return bytes;
        }
    }
}

/// Packets in good form that make no sense: answers to nothing, publications elsewhere or with odd properties. `order` is a payload
/// that would be obeyed on `topic`, and never comes there.
pub fn odd(noise: &mut Noise, topic: &str, order: &[u8]) -> Vec<u8> {
    let number = u16::from_be_bytes([noise.byte(), noise.byte()]);
    let [high, low] = number.to_be_bytes();
    match noise.below(9) {
        0 => packet(PUBACK, &[high, low]),
        1 => packet(PUBREC, &[high, low]),
        2 => packet(PUBREL, &[high, low]),
        3 => packet(PUBCOMP, &[high, low]),
        4 => packet(*noise.choose(&[SUBACK, UNSUBACK]), &[high, low, 0, noise.byte()]),
        5 => packet(PINGRESP, &[]),
        // Somebody else's.
        6 => {
            let elsewhere = [
                format!("{topic}/x"),
                topic.to_uppercase(),
                topic.replace("down", "up"),
                topic[1..].to_owned(),
            ];
            let flags = *noise.choose(&[0, 0b001, 0b010, 0b100, 0b1010]);
            publication(flags, noise.choose(&elsewhere).as_bytes(), number.max(1), &[], order)
        }
        // A content type, how long it lives, what it answers, names and values.
        7 => {
            const PROPERTIES: [&[u8]; 5] = [
                &[0x03, 0, 2, b'a', b'b'],
                &[0x02, 0xff, 0xff, 0xff, 0xff],
                &[0x08, 0, 1, b't', 0x09, 0, 2, 0, 0],
                &[0x26, 0, 1, b'n', 0, 1, b'v', 0x26, 0, 0, 0, 0],
                &[0x01, 1, 0x0b, 1],
            ];
            let raw = noise.bytes(20);
            publication(0b010, topic.as_bytes(), number.max(1), noise.choose::<&[u8]>(&PROPERTIES), &raw)
        }
        _ => {
            let raw_len = noise.below(RAW_LEN_MAX);
            let raw = noise.bytes(raw_len);
            publication(noise.byte() & 0b1011, topic.as_bytes(), number.max(1), &[], &raw)
        }
    }
}

/// Bytes that are no packet, or none that a broker sends to this client at this time; `good` is one that is. Some are only part of
/// one: the connection is to end after them.
pub fn broken(noise: &mut Noise, good: &[u8], topic: &str) -> Vec<u8> {
    let raw_len = noise.below(RAW_LEN_MAX);
    let raw = noise.bytes(raw_len);
    match noise.below(12) {
        0 => noise.spoil(good),
        1 => good[..1 + noise.below(good.len() - 1)].to_vec(),
        // What only a client sends, and what nobody does.
        2 => {
            let kinds = [CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, AUTH, 0, 0x0f];
            packet(*noise.choose(&kinds), &raw)
        }
        // Flags that are not the kind's, and a QoS that is none.
        3 => {
            let kinds = [PUBACK, PUBREC, PUBCOMP, SUBACK, PINGRESP, DISCONNECT, PUBREL ^ 2];
            let flags = u8::try_from(1 + noise.below(14)).expect("small");
            let kind = if noise.below(3) == 0 { PUBLISH | 0b110 } else { *noise.choose(&kinds) ^ flags };
            packet(kind, &raw)
        }
        4 => lengths(noise, good, &raw),
        5 => properties(noise, topic),
        // A topic that is longer than the packet, no text, or nothing; a publication without a number.
        6 => {
            let mut bytes = publication(0b010, topic.as_bytes(), 7, &[], &raw);
            let at = 2 + usize::from(bytes[1] >= 128);
            match noise.below(3) {
                0 => bytes[at] = 1 + (noise.byte() & 0x7f),
                1 => bytes[at + 2 + noise.below(topic.len())] = 0xc0 | noise.byte() & 1,
                _ => bytes = publication(0b010, b"", 0, &[], &raw),
            }
            bytes
        }
        // At another time.
        7 => packet(CONNACK, &[0, 0, 0]),
        8 => packet(DISCONNECT, &[0x80 | noise.byte(), 0]),
        // Answers that are too short or too long for any.
        9 => {
            let kinds = [PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK];
            let body = if noise.below(2) == 0 { raw[..raw.len().min(1)].to_vec() } else { raw };
            packet(*noise.choose(&kinds), &body)
        }
        10 => packet(PINGRESP, &[noise.byte()]),
        _ => {
            let mut bytes = raw;
            bytes.push(noise.byte());
            bytes
        }
    }
}

/// A remaining length that is not that of what follows, or none at all.
fn lengths(noise: &mut Noise, good: &[u8], raw: &[u8]) -> Vec<u8> {
    let (kind, body) = (good[0], &good[1 + good[1..].iter().take_while(|byte| **byte >= 128).count() + 1..]);
    let length = match noise.below(5) {
        // Five bytes; one that another would have done for; more than any buffer; a little less, a little more.
        0 => vec![0xff, 0xff, 0xff, 0xff, 0x7f],
        1 => vec![0x80 | noise.byte(), 0x80, 0x80, 0x00],
        2 => varint(2000 + noise.below(LEN_MAX - 2000)),
        3 => varint(noise.below(body.len())),
        _ => varint(body.len() + 1 + noise.below(RAW_LEN_MAX)),
    };
    [&[kind], &length[..], body, raw].concat()
}

/// Properties that are longer than their packet, unknown, of another packet, there twice, or cut.
fn properties(noise: &mut Noise, topic: &str) -> Vec<u8> {
    const ALIEN: [&[u8]; 8] = [
        &[0x04, 1],
        &[0x13, 0, 0],
        &[0x11, 0, 0, 0, 0],
        &[0x27, 0, 0, 0, 0],
        &[0x7f, 0xff],
        &[0x01, 0, 0x01, 1, 0x01, 2],
        &[0x26, 0xff, 0xff, b'n'],
        &[0x0b, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    let good = publication(0b010, topic.as_bytes(), 7, noise.choose::<&[u8]>(&ALIEN), &[1, 2, 3]);
    if noise.below(3) > 0 {
        return good;
    }
    // The length of the properties stands after the topic and the number.
    let mut bytes = publication(0b010, topic.as_bytes(), 7, &[], &[1, 2, 3]);
    let at = bytes.len() - 4;
    bytes[at] = 4 + noise.byte() % 252;
    bytes
}

/// An answer to a client's first packet or to its subscription that lets nobody in.
pub fn greeting(noise: &mut Noise, good: &[u8]) -> Vec<u8> {
    const PROPERTIES: [&[u8]; 6] = [
        &[0x21, 0, 0],
        &[0x27, 0, 0, 0, 0],
        &[0x24, 7],
        &[0x13, 0, 0],
        &[0x12, 0xff, 0xff],
        &[0x11, 0xff, 0xff, 0xff, 0xff],
    ];
    match noise.below(4) {
        0 => packet(CONNACK, &[noise.byte(), 0x80 | noise.byte(), 0]),
        1 => {
            let properties = noise.choose(&PROPERTIES);
            let len = u8::try_from(properties.len()).expect("short");
            packet(CONNACK, &[&[0, 0, len], *properties].concat())
        }
        2 => broken(noise, good, "giot/v1/x/down"),
        _ => noise.spoil(good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_standard() {
        for (len, want) in [(0, &[0][..]), (127, &[127]), (128, &[128, 1]), (16_384, &[128, 128, 1])] {
            assert_eq!(varint(len), want);
        }
        let bytes = publication(0b010, b"a/b", 10, &[], b"hi");
        assert_eq!(bytes, [0x32, 10, 0, 3, b'a', b'/', b'b', 0, 10, 0, b'h', b'i']);
    }

    #[test]
    fn the_same_noise_for_the_same_seed_and_never_the_good_packet() {
        let topic = "giot/v1/v01/down";
        let good = publication(0b010, topic.as_bytes(), 7, &[], &[9; 90]);
        let (mut one, mut other) = (Noise::new(7), Noise::new(7));
        for _ in 0..20_000 {
            let bytes = broken(&mut one, &good, topic);
            assert_eq!(bytes, broken(&mut other, &good, topic));
            assert!(!bytes.is_empty() && bytes != good, "{bytes:?}");
            assert_eq!(odd(&mut one, topic, b"order"), odd(&mut other, topic, b"order"));
            assert_eq!(greeting(&mut one, &good), greeting(&mut other, &good));
        }
    }
}
