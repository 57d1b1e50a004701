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
    /// A refusal with these headers.
    Later(u16, &'static str),
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
                            "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
                        )
                    };
                    socket.write_all(answer.as_bytes()).unwrap();
                }
                Reply::Later(status, headers) => {
                    let answer = format!(
                        "HTTP/1.1 {status} X\r\n{headers}\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbusy"
                    );
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

const LINE: &[u8] = b"soil_moisture,device=n0 value=1.0,quality=0i 1700000000000000\n";

#[tokio::test]
async fn lines_go_to_the_write_api_plain_or_compressed() {
    let (url, requests) = serve(vec![Reply::Status(204, ""); 4]);
    for order in [[false, true], [true, false]] {
        // The first request is our own, the second the crate's: both ask the same.
        let influx = influx(&url);
        for is_compressed in order {
            assert_eq!(influx.write(LINE.to_vec(), is_compressed).await, Answer::Status(204, String::new()));
            let Request { head, body } = requests.recv().unwrap();
            let first = head.lines().next().unwrap();
            assert_eq!(first, "POST /api/v2/write?bucket=htx&org=s%C6%A1n+la&precision=us HTTP/1.1");
            let head = head.to_ascii_lowercase();
            assert!(head.contains(&format!("authorization: token {TOKEN}")), "{head}");
            assert_eq!(head.contains("content-encoding: gzip"), is_compressed, "{head}");
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
}

#[tokio::test]
async fn the_pause_that_a_busy_sink_asks_for_is_heard() {
    const DATES: &str = "Date: Sun, 29 Nov 2026 10:00:00 GMT\r\nRetry-After: Sun, 29 Nov 2026 10:01:30 GMT";
    const PAST: &str = "Date: Sun, 29 Nov 2026 10:00:00 GMT\r\nRetry-After: Sun, 29 Nov 2026 09:00:00 GMT";
    let later = |status, ms| Answer::Later(status, "busy".to_owned(), ms);
    let busy = |status| Answer::Status(status, "busy".to_owned());
    let cases = [
        (Reply::Later(429, "Retry-After: 7"), later(429, 7_000)),
        (Reply::Later(503, "retry-after: 120"), later(503, 120_000)),
        (Reply::Later(429, DATES), later(429, 90_000)),
        (Reply::Later(503, PAST), busy(503)),
        (Reply::Later(429, "Retry-After: soon"), busy(429)),
        (Reply::Later(429, "Retry-After: 99999999999999999999"), busy(429)),
        // Only where it is about time.
        (Reply::Later(500, "Retry-After: 7"), busy(500)),
        (Reply::Status(204, ""), Answer::Status(204, String::new())),
        // The crate hides the first one after a success; the next is heard.
        (Reply::Later(429, "Retry-After: 5"), busy(429)),
        (Reply::Later(429, "Retry-After: 5"), later(429, 5_000)),
        (Reply::Status(204, ""), Answer::Status(204, String::new())),
    ];
    let (url, requests) = serve(cases.iter().map(|(reply, _)| *reply).collect());
    let influx = influx(&url);
    for (n, (reply, answer)) in cases.into_iter().enumerate() {
        assert_eq!(influx.write(LINE.to_vec(), n % 2 == 1).await, answer, "{n} {reply:?}");
        requests.recv().unwrap();
    }
}

/// Answers questions over connections that stay, by the script of each; a connection ends after its script.
fn serve_on(connections: Vec<Vec<&'static str>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answers in connections {
            let (mut socket, _) = listener.accept().unwrap();
            for answer in answers {
                read(&mut socket);
                socket.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    url
}

#[tokio::test]
async fn a_restart_between_two_questions_is_seen() {
    const STAYS: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    const BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npass";
    const CLOSES: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    let cases = [
        (vec![vec![STAYS, BODY], vec![STAYS, STAYS]], [Some(204), Some(200), None, Some(204)]),
        (vec![vec![STAYS, CLOSES], vec![STAYS, STAYS]], [Some(204); 4]),
        (
            vec![vec!["SSH-2.0-x y\r\n\r\n"], vec![BODY, STAYS, STAYS]],
            [None, Some(200), Some(204), Some(204)],
        ),
    ];
    for (connections, expected) in cases {
        let influx = influx(&serve_on(connections));
        for expected in expected {
            let answer = influx.ping().await;
            let status = match &answer {
                Answer::Status(status, _) => Some(*status),
                Answer::Later(..) | Answer::None(_) => None,
            };
            assert_eq!(status, expected, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn every_answer_becomes_what_helps() {
    let cases = [
        (Reply::Status(200, "<html>log in to the network</html>"), Verdict::Away),
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
        let (Answer::Status(_, text) | Answer::Later(_, text, _) | Answer::None(text)) = &answer;
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
