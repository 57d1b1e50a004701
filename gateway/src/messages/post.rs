//! The way of a message out: one POST. Over TLS where the address says so; no proxy, no redirect.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, redirect};
use serde_json::{Map, Value, json};

use crate::config::{MessageFormat, MessagePlan, check_message_url, check_token};
use crate::sinks;
use crate::sinks::heard::heard;
use crate::sinks::verdict::Answer;

use super::letter::Letter;

/// How long a connection may take, and a whole message: mobile networks are slow.
const CONNECT_MAX: Duration = Duration::from_secs(20);
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// What is kept of an answer's text, characters.
const ANSWER_MAX: usize = 200;

/// An address.
pub struct Post {
    client: Client,
    url: reqwest::Url,
    token: String,
    format: MessageFormat,
}

impl Post {
    /// Reads what the plan says is in files; nothing is sent.
    ///
    /// # Errors
    /// A file cannot be read, or the address cannot be used.
    pub fn open(plan: &MessagePlan) -> anyhow::Result<Self> {
        let name = &plan.name;
        let url = sinks::secret(&plan.url, &format!("message {name}: url_file"), check_message_url)?;
        let token = sinks::secret(&plan.token, &format!("message {name}: token_file"), check_token)?;
        let client = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .with_context(|| format!("message {name}: prepare the connection"))?;
        let url = reqwest::Url::parse(&url).with_context(|| format!("message {name}: read its address"))?;
        Ok(Self { client, url, token, format: plan.format.clone() })
    }

    /// Sends a message and waits for the answer. Cancel-safe: a dropped call may still have arrived.
    pub async fn send(&self, letter: &Letter) -> Answer {
        match self.request(letter).send().await {
            Ok(answer) => {
                let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                let text = answer.text().await.unwrap_or_default();
                heard(status, &headers, text.chars().take(ANSWER_MAX).collect())
            }
            // The address may be a secret.
            Err(error) => Answer::None(format!("{:#}", anyhow::Error::new(error.without_url()))),
        }
    }

    fn request(&self, letter: &Letter) -> RequestBuilder {
        let request = self.client.post(self.url.clone());
        let request = if self.token.is_empty() { request } else { request.bearer_auth(&self.token) };
        match &self.format {
            MessageFormat::Text => request
                .header(CONTENT_TYPE, "text/plain; charset=utf-8")
                .body(format!("{}\n{}", letter.title, letter.text)),
            MessageFormat::Json(fields) => {
                let mut body: Map<String, Value> =
                    fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                body.insert("title".to_owned(), json!(letter.title));
                body.insert("text".to_owned(), json!(format!("{}\n{}", letter.title, letter.text)));
                body.insert("entries".to_owned(), json!(letter.entries));
                request.header(CONTENT_TYPE, "application/json").body(Value::Object(body).to_string())
            }
        }
    }
}

/// Shown without the address and the token.
impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").field("format", &self.format).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// Many services of messages answer 429 with the pause that they want.
    #[tokio::test]
    async fn a_service_may_ask_for_a_pause() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let service = tokio::task::spawn_blocking(move || {
            let mut socket = BufReader::new(listener.accept().expect("a message").0);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                socket.read_line(&mut line).expect("its head");
            }
            let answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait";
            socket.get_mut().write_all(answer.as_bytes()).expect("answered");
            // What follows is read to its end: closed before, the answer could be lost.
            std::io::copy(&mut socket, &mut std::io::sink())
        });
        let url = format!("http://{address}/").parse().expect("an address");
        let post = Post { client: Client::new(), url, token: String::new(), format: MessageFormat::Text };
        let letter = Letter { title: "HTX".to_owned(), text: "một".to_owned(), entries: Vec::new() };
        let answer = post.send(&letter).await;
        assert_eq!(answer, Answer::Later(429, "wait".to_owned(), 7_000));
        drop(post);
        service.await.expect("no panic").expect("read");
    }
}
