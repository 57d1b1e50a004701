//! The smallest client of this API, for commands that talk to the gateway on the same machine: signs in with the admin
//! secret and sends JSON. One request a connection; bounded answers.

use anyhow::Context;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Time for one answer.
const ANSWER: Duration = Duration::from_secs(20);
/// Longest answer, bytes.
const ANSWER_MAX: u64 = 1 << 20;

/// The gateway refuses what was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// Its answer.
    pub(crate) answer: Value,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let detail = self.answer.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
        write!(f, "the gateway answers {}: {detail}", self.status)
    }
}

impl std::error::Error for Refusal {}

/// A signed-in client.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    cookie: String,
}

impl Client {
    /// Signs in.
    ///
    /// # Errors
    /// When nobody answers there, or the secret is another gateway's.
    pub(crate) fn sign_in(address: SocketAddr, secret: &str) -> anyhow::Result<Self> {
        let client = Self { address, cookie: String::new() };
        let (head, _) = client.ask("POST", "/api/v1/session", Some(&json!({ "secret": secret })))?;
        let cookie = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("set-cookie")
                .then(|| value.split(';').next().unwrap_or("").trim().to_owned())
        });
        // A gateway that lets everybody in gives no cookie.
        Ok(Self { cookie: cookie.unwrap_or_default(), ..client })
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// When the gateway does not answer, or refuses: its own words.
    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask("POST", path, Some(body)).map(|(_, answer)| answer)
    }

    /// Asks.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask("GET", path, None).map(|(_, answer)| answer)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<(String, Value)> {
        let mut socket = TcpStream::connect_timeout(&self.address, ANSWER).context("connect")?;
        socket.set_read_timeout(Some(ANSWER)).context("set a time limit")?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if !self.cookie.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", self.cookie));
        }
        request.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        socket.write_all(request.as_bytes()).context("send the request")?;
        let mut answer = Vec::new();
        socket.take(ANSWER_MAX).read_to_end(&mut answer).context("read the answer")?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, content) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        let status = status.context("the answer is no HTTP")?;
        let value: Value = serde_json::from_str(content.trim()).unwrap_or(Value::Null);
        if !(200..300).contains(&status) {
            return Err(Refusal { status, answer: value }.into());
        }
        Ok((head.to_owned(), value))
    }
}
