//! The InfluxDB 2 write API through the crate influxdb2: the only file that knows it.
//!
//! What the crate leaves to its user is done here or by the caller:
//!
//! | trap | what is done |
//! |---|---|
//! | its own lines let newlines and NaN through | lines come encoded from `line` |
//! | its compression is a chunked stream, or cannot be switched off | a second client whose requests are marked as gzip, with bodies compressed here |
//! | no time limit | limits for connecting and for the whole request |
//! | a path in the URL is thrown away | the configuration refuses one |
//! | it panics on a URL that is none | the URL is parsed before |
//! | redirects turn a write into a read | none is followed |
//! | `Retry-After` is hidden, and an answer is read to its end however long it is | at first, and after lines that were not taken until some are, they go by a request of our own that hears it and reads the beginning |
//! | its queries panic on empty cells | never called |
//!
//! Must not decide what an answer means. The token is never in a message.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::client::connect::HttpInfo;
use influxdb2::api::write::TimestampPrecision;
use influxdb2::{Client, ClientBuilder, RequestError};
use reqwest::header::{AUTHORIZATION, CONNECTION, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect;
use tokio::sync::Mutex;

use super::heard::heard;
use super::tripwire::Tripwire;
use super::verdict::Answer;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Longest wait for an answer: a megabyte, compressed to a tenth, over a bad mobile link.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// Longest text of an answer that is kept, bytes.
const TEXT_MAX: usize = 1_024;

/// Longest answer to the question whether anybody is there, bytes; a longer one is not read to its end.
const BODY_MAX: usize = 16 * 1024;

/// Where a sink is and who we are there.
#[derive(Clone)]
pub struct Target {
    /// `http://host:port` or `https://host`, without a path.
    pub url: String,
    /// Organisation.
    pub org: String,
    /// Bucket.
    pub bucket: String,
    /// Token; empty where the sink wants none.
    pub token: String,
    /// A certificate authority beside the public ones, PEM.
    pub ca_pem: Option<Vec<u8>>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, org, bucket, .. } = self;
        f.debug_struct("Target")
            .field("url", url)
            .field("org", org)
            .field("bucket", bucket)
            .finish_non_exhaustive()
    }
}

/// A connection to a sink.
#[derive(Debug)]
pub struct Influx {
    plain: Client,
    gzip: Client,
    /// Lines that were refused for want of time.
    own: reqwest::Client,
    /// Questions whether anybody is there, over one connection.
    probe: reqwest::Client,
    wire: Mutex<Tripwire>,
    probe_url: reqwest::Url,
    write_url: reqwest::Url,
    /// `Authorization` of our own requests.
    rights: Option<HeaderValue>,
    /// Nothing was taken yet, or not the last lines: the next ones go by our own request.
    hears_pauses: AtomicBool,
    org: String,
    bucket: String,
}

impl Influx {
    /// Prepares the connection; nothing is sent.
    ///
    /// # Errors
    /// The URL or the certificate cannot be used.
    pub fn new(target: &Target) -> anyhow::Result<Self> {
        Self::within(target, CONNECT_MAX, REQUEST_MAX)
    }

    /// As [`Self::new`], with other than the usual patience.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn within(target: &Target, connect_max: Duration, request_max: Duration) -> anyhow::Result<Self> {
        let Target { url, org, bucket, token, ca_pem } = target;
        let base = reqwest::Url::parse(url).with_context(|| format!("read the URL {url}"))?;
        let probe_url = base.join("/ping").context("make the URL of the probe")?;
        let mut write_url = base.join("/api/v2/write").context("make the URL of the write API")?;
        write_url.query_pairs_mut().extend_pairs([
            ("bucket", bucket.as_str()),
            ("org", org.as_str()),
            ("precision", "us"),
        ]);
        let mut gzip_headers = HeaderMap::new();
        gzip_headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let http = |headers| -> anyhow::Result<reqwest::ClientBuilder> {
            let mut builder = reqwest::Client::builder()
                .connect_timeout(connect_max)
                .timeout(request_max)
                .redirect(redirect::Policy::none())
                .no_proxy()
                .tcp_nodelay(true)
                // A hundred certificates of authorities for each client; none for a sink in the house.
                .tls_built_in_root_certs(base.scheme() == "https")
                .pool_max_idle_per_host(1)
                .default_headers(headers);
            if let Some(pem) = ca_pem {
                let certificate = reqwest::Certificate::from_pem(pem).context("read the CA's certificate")?;
                builder = builder.add_root_certificate(certificate);
            }
            Ok(builder)
        };
        let client = |headers| -> anyhow::Result<Client> {
            let builder = ClientBuilder::with_builder(http(headers)?, url, org, token);
            builder.build().context("prepare the connection")
        };
        Ok(Self {
            plain: client(HeaderMap::new())?,
            gzip: client(gzip_headers)?,
            own: http(HeaderMap::new())?.build().context("prepare our own requests")?,
            // Kept for ever: what ends it is the other side.
            probe: http(HeaderMap::new())?
                .http1_only()
                .pool_idle_timeout(None)
                .build()
                .context("prepare the questions")?,
            wire: Mutex::default(),
            probe_url,
            write_url,
            rights: rights(token)?,
            hears_pauses: AtomicBool::new(true),
            org: org.clone(),
            bucket: bucket.clone(),
        })
    }

    /// Sends lines with times in microseconds. Cancel-safe in that the sink may or may not have them then.
    pub async fn write(&self, lines: Vec<u8>, is_compressed: bool) -> Answer {
        let (client, body) = if is_compressed {
            match compress(&lines) {
                Ok(body) => (&self.gzip, body),
                Err(_) => return Answer::None("the lines could not be compressed".to_owned()),
            }
        } else {
            (&self.plain, lines)
        };
        let precision = TimestampPrecision::Microseconds;
        let answer = if self.hears_pauses.load(Ordering::Relaxed) {
            self.write_and_hear(body, is_compressed).await
        } else {
            match client.write_line_protocol_with_precision(&self.org, &self.bucket, body, precision).await {
                Ok(()) => Answer::Status(204, String::new()),
                Err(RequestError::Http { status, text }) => Answer::Status(status.as_u16(), cut(&text)),
                Err(error) => Answer::None(cause(&error)),
            }
        };
        self.hears_pauses.store(!matches!(answer, Answer::Status(204, _)), Ordering::Relaxed);
        answer
    }

    /// As [`Self::write`], by a request of our own, which hears after how long the sink wants to be asked again.
    async fn write_and_hear(&self, body: Vec<u8>, is_compressed: bool) -> Answer {
        let mut request = self.own.post(self.write_url.clone()).body(body);
        if is_compressed {
            request = request.header(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(rights) = &self.rights {
            request = request.header(AUTHORIZATION, rights.clone());
        }
        let answer = async {
            let mut answer = request.send().await?;
            let text = beginning(&mut answer).await?;
            Ok::<_, reqwest::Error>(heard(answer.status().as_u16(), answer.headers(), text))
        };
        answer.await.unwrap_or_else(|error| Answer::None(cause(&error)))
    }

    /// Asks whether anybody is there, and still the same. Not the crate's health check, which some servers do not answer.
    pub async fn ping(&self) -> Answer {
        // Whoever asks at the same time waits: they share a connection.
        let mut wire = self.wire.lock().await;
        match self.ask().await {
            Ok((status, Some((local, stays)))) if !wire.answered(local, stays) => {
                Answer::Status(status, String::new())
            }
            Ok((_, Some(_))) => Answer::None("its connection was replaced: it may have restarted".to_owned()),
            Ok((status, None)) => Answer::Status(status, String::new()),
            Err(error) => {
                wire.broke();
                Answer::None(cause(&error))
            }
        }
    }

    /// The status of an answer, and the connection it came over: its address on our side, and whether it stays open.
    async fn ask(&self) -> Result<(u16, Option<(SocketAddr, bool)>), reqwest::Error> {
        let mut answer = self.probe.get(self.probe_url.clone()).send().await?;
        let local = answer.extensions().get::<HttpInfo>().map(HttpInfo::local_addr);
        let status = answer.status().as_u16();
        let says_close = answer
            .headers()
            .get(CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        // Only a connection whose answer was read to its end is used again.
        let mut n_bytes = 0;
        while n_bytes <= BODY_MAX
            && let Some(piece) = answer.chunk().await?
        {
            n_bytes += piece.len();
        }
        let stays = !says_close && n_bytes <= BODY_MAX;
        Ok((status, local.map(|local| (local, stays))))
    }
}

/// The beginning of an answer.
async fn beginning(answer: &mut reqwest::Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < TEXT_MAX
        && let Some(piece) = answer.chunk().await?
    {
        bytes.extend_from_slice(&piece);
    }
    Ok(cut(&String::from_utf8_lossy(&bytes)))
}

/// What says who we are.
fn rights(token: &str) -> anyhow::Result<Option<HeaderValue>> {
    if token.is_empty() {
        return Ok(None);
    }
    let mut rights = HeaderValue::from_str(&format!("Token {token}"))
        .ok()
        .context("a token with letters that no header carries")?;
    rights.set_sensitive(true);
    Ok(Some(rights))
}

fn compress(lines: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 8), Compression::fast());
    encoder.write_all(lines)?;
    encoder.finish()
}

/// The innermost causes: the outer ones only repeat the URL.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    causes.dedup();
    let inner = causes.len().saturating_sub(2);
    cut(&causes.get(inner..).unwrap_or_default().join(": "))
}

fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect()
}
