//! The way out over real sockets, against a server that follows a script: what it is asked, and what its answers become.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::sinks::influx::{Influx, Target};
use crate::sinks::verdict::{Answer, Verdict};

const TOKEN: &str = "s3cret";

#[derive(Debug, Clone, Copy)]
enum Reply {
    Status(u16, &'static str),
    /// Takes the request and says nothing.
    Silence,
    /// Ends the connection in the middle of the answer.
    Half,
    /// Ends it before the request is read.
    Gone,
    /// Says that it will say something, byte by byte, too slowly.
    Drip,
}

#[derive(Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

/// Answers one request a connection, by the script; what it was asked comes through the channel.
fn serve(script: Vec<Reply>) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for reply in script {
            let (mut socket, _) = listener.accept().unwrap();
            if matches!(reply, Reply::Gone) {
                continue;
            }
            sender.send(read(&mut socket)).unwrap();
            match reply {
                Reply::Status(status, text) => {
                    let length = text.len();
                    let answer = if status == 204 {
                        "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned()
                    } else {
                        format!(
                            "HTTP/1.1 {status} X\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
                        )
                    };
                    socket.write_all(answer.as_bytes()).unwrap();
                }
                Reply::Silence => open.push(socket),
                Reply::Half => socket.write_all(b"HTTP/1.1 204 No Con").unwrap(),
                Reply::Drip => {
                    socket.write_all(b"HTTP/1.1 500 X\r\nContent-Length: 99\r\n\r\nx").unwrap();
                    open.push(socket);
                }
                Reply::Gone => {}
            }
        }
        // Connections that are to stay silent end with the test's process at the latest.
        std::thread::sleep(Duration::from_secs(20));
        drop(open);
    });
    (url, receiver)
}

fn read(socket: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let n = socket.read(&mut piece).unwrap();
        assert!(n > 0, "a whole request");
        bytes.extend_from_slice(&piece[..n]);
        let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        if bytes.len() >= at + 4 + length {
            return Request { head, body: bytes[at + 4..].to_vec() };
        }
    }
}

fn influx(url: &str) -> Influx {
    let target = Target {
        url: url.to_owned(),
        org: "sơn la".to_owned(),
        bucket: "htx".to_owned(),
        token: TOKEN.to_owned(),
        ca_pem: None,
    };
    assert!(!format!("{target:?}").contains(TOKEN));
    let influx = Influx::within(&target, Duration::from_secs(2), Duration::from_millis(400)).unwrap();
    assert!(!format!("{influx:?}").contains(TOKEN), "the token is never shown");
    influx
}

const LINE: &[u8] = b"soil_moisture,device=n0 value=1.0,quality=0i 1700000000000\n";

#[tokio::test]
async fn lines_go_to_the_write_api_plain_or_compressed() {
    let (url, requests) = serve(vec![Reply::Status(204, ""), Reply::Status(204, "")]);
    let influx = influx(&url);
    for is_compressed in [false, true] {
        assert_eq!(influx.write(LINE.to_vec(), is_compressed).await, Answer::Status(204, String::new()));
        let Request { head, body } = requests.recv().unwrap();
        let first = head.lines().next().unwrap();
        assert_eq!(first, "POST /api/v2/write?bucket=htx&org=s%C6%A1n+la&precision=ms HTTP/1.1");
        assert!(head.to_ascii_lowercase().contains(&format!("authorization: token {TOKEN}")), "{head}");
        assert_eq!(head.to_ascii_lowercase().contains("content-encoding: gzip"), is_compressed, "{head}");
        let body = if is_compressed {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
            plain
        } else {
            body
        };
        assert_eq!(body, LINE);
    }
}

#[tokio::test]
async fn every_answer_becomes_what_helps() {
    let cases = [
        (Reply::Status(200, ""), Verdict::Taken),
        (Reply::Status(400, "unable to parse"), Verdict::BadLine),
        (Reply::Status(401, "unauthorized"), Verdict::Forbidden),
        (Reply::Status(404, "bucket not found"), Verdict::Unknown),
        (Reply::Status(413, ""), Verdict::TooLarge),
        (Reply::Status(422, "unprocessable"), Verdict::BadLine),
        (Reply::Status(429, ""), Verdict::Busy),
        (Reply::Status(301, ""), Verdict::Busy),
        (Reply::Status(503, "no\r\nway"), Verdict::Away),
        (Reply::Silence, Verdict::Away),
        (Reply::Half, Verdict::Away),
        (Reply::Gone, Verdict::Away),
        (Reply::Drip, Verdict::Away),
    ];
    let (url, _requests) = serve(cases.iter().map(|(reply, _)| *reply).collect());
    let influx = influx(&url);
    for (reply, verdict) in cases {
        let answer = influx.write(LINE.to_vec(), false).await;
        assert_eq!(Verdict::of(&answer, false), verdict, "{reply:?}: {answer:?}");
        let (Answer::Status(_, text) | Answer::None(text)) = &answer;
        assert!(!text.chars().any(char::is_control) && !text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let influx = influx(&format!("http://{port}"));
    for answer in [influx.write(LINE.to_vec(), true).await, influx.ping().await] {
        assert!(matches!(&answer, Answer::None(text) if text.contains("refused")), "{answer:?}");
    }
}
