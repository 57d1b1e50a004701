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
//! | `Retry-After` is hidden | the caller's own pauses |
//! | its queries panic on empty cells | never called |
//!
//! Must not decide what an answer means. The token is never in a message.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use influxdb2::api::write::TimestampPrecision;
use influxdb2::{Client, ClientBuilder, RequestError};
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect;
use tokio::sync::Mutex;

use super::tripwire::Tripwire;
use super::verdict::Answer;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Longest wait for an answer: a megabyte, compressed to a tenth, over a bad mobile link.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// Longest text of an answer that is kept, bytes.
const TEXT_MAX: usize = 1_024;

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
    /// Over plain HTTP; TLS has `probe` only, which notices that nobody is there and no short restart.
    wire: Option<Mutex<Tripwire>>,
    probe: reqwest::Client,
    probe_url: reqwest::Url,
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
        let host = format!(
            "{}:{}",
            base.host_str().unwrap_or_default(),
            base.port_or_known_default().unwrap_or_default()
        );
        let probe_url = base.join("/ping").context("make the URL of the probe")?;
        let mut gzip_headers = HeaderMap::new();
        gzip_headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let http = |headers| -> anyhow::Result<reqwest::ClientBuilder> {
            let mut builder = reqwest::Client::builder()
                .connect_timeout(connect_max)
                .timeout(request_max)
                .redirect(redirect::Policy::none())
                .no_proxy()
                .tcp_nodelay(true)
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
            probe: http(HeaderMap::new())?.build().context("prepare the probe")?,
            wire: (base.scheme() == "http").then(|| Mutex::new(Tripwire::new(host, request_max))),
            probe_url,
            org: org.clone(),
            bucket: bucket.clone(),
        })
    }

    /// Sends lines with times in milliseconds. Cancel-safe in that the sink may or may not have them then.
    pub async fn write(&self, lines: Vec<u8>, is_compressed: bool) -> Answer {
        let (client, body) = if is_compressed {
            match compress(&lines) {
                Ok(body) => (&self.gzip, body),
                Err(_) => return Answer::None("the lines could not be compressed".to_owned()),
            }
        } else {
            (&self.plain, lines)
        };
        let precision = TimestampPrecision::Milliseconds;
        match client.write_line_protocol_with_precision(&self.org, &self.bucket, body, precision).await {
            Ok(()) => Answer::Status(204, String::new()),
            Err(RequestError::Http { status, text }) => Answer::Status(status.as_u16(), cut(&text)),
            Err(error) => Answer::None(cause(&error)),
        }
    }

    /// Asks whether anybody is there, and still the same. Not the crate's health check, which some servers do not answer.
    pub async fn ping(&self) -> Answer {
        if let Some(wire) = &self.wire {
            return wire.lock().await.pull().await;
        }
        match self.probe.get(self.probe_url.clone()).send().await {
            Ok(answer) => Answer::Status(answer.status().as_u16(), String::new()),
            Err(error) => Answer::None(cause(&error)),
        }
    }
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
