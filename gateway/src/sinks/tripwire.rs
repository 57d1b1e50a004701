//! A connection of its own to a sink, kept open and asked now and then: when it breaks without notice, the sink has restarted, even if
//! it is back before anything failed.
//!
//! Only over plain HTTP. An orderly end (`Connection: close` in the answer before) is none. Must not decide what follows.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::verdict::Answer;

/// Longest head of an answer, bytes.
const HEAD_MAX: usize = 16 * 1024;

/// The connection.
#[derive(Debug)]
pub struct Tripwire {
    host: String,
    wait_max: Duration,
    stream: Option<TcpStream>,
}

impl Tripwire {
    /// To `host:port`; nothing is sent before [`Self::pull`].
    #[must_use]
    pub fn new(host: String, wait_max: Duration) -> Self {
        Self { host, wait_max, stream: None }
    }

    /// Asks whether the sink is there and still the same. Not cancel-safe: a dropped call counts as a break.
    pub async fn pull(&mut self) -> Answer {
        let kept = self.stream.take();
        let asked = timeout(self.wait_max, ask(kept, &self.host)).await;
        match asked {
            Ok(Ok((stream, status))) => {
                self.stream = stream;
                Answer::Status(status, String::new())
            }
            Ok(Err(error)) => Answer::None(format!("the connection broke: {error}")),
            Err(_) => Answer::None("no answer in time".to_owned()),
        }
    }
}

/// Asks over the kept connection, or a new one; hands it back unless the answer ends it.
async fn ask(kept: Option<TcpStream>, host: &str) -> std::io::Result<(Option<TcpStream>, u16)> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect(host).await?,
    };
    stream.write_all(format!("GET /ping HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if head.len() > HEAD_MAX || stream.read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let n_body_read = head.len() - end;
    head.truncate(end);
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    let ends =
        field("connection:") == Some("close") || field("transfer-encoding:").is_some() || length > HEAD_MAX;
    if !ends && length > n_body_read {
        let mut body = vec![0; length - n_body_read];
        stream.read_exact(&mut body).await?;
    }
    Ok(((!ends).then_some(stream), status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Answers `answers` over one connection each list, and ends it then.
    async fn serve(connections: Vec<Vec<&'static str>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            for answers in connections {
                let (mut socket, _) = listener.accept().await.unwrap();
                for answer in answers {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        assert!(socket.read_buf(&mut request).await.unwrap() > 0);
                    }
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        host
    }

    async fn pulls(connections: Vec<Vec<&'static str>>, n: usize) -> Vec<Option<u16>> {
        let mut wire = Tripwire::new(serve(connections).await, Duration::from_secs(5));
        let mut seen = Vec::new();
        for _ in 0..n {
            seen.push(match wire.pull().await {
                Answer::Status(status, _) => Some(status),
                Answer::None(_) => None,
            });
        }
        seen
    }

    const STAYS: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    const BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npass";
    const CLOSES: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_break_without_notice_is_seen_once() {
        let seen = pulls(vec![vec![STAYS, BODY], vec![STAYS]], 4).await;
        assert_eq!(seen, [Some(204), Some(200), None, Some(204)]);
    }

    #[tokio::test]
    async fn an_orderly_end_is_no_break() {
        let seen = pulls(vec![vec![STAYS, CLOSES], vec![STAYS, STAYS]], 4).await;
        assert_eq!(seen, [Some(204); 4]);
    }

    #[tokio::test]
    async fn nonsense_is_a_break() {
        assert_eq!(pulls(vec![vec!["SSH-2.0-x y\r\n\r\n"]], 1).await, [None]);
    }
}
