//! The rules of a `[[sink]]`: a time-series store that gets the history. Nothing here reads a file: the token's and the CA's are read
//! when the gateway starts.

use std::fmt;

use toml::Spanned;

use super::compile::Compiler;
use super::{MASK, raw};
use crate::cli::When;
use crate::history::timezone::TimeZone;

/// Time after which what a sink took counts as kept, minutes: stores write to their disks within seconds to minutes.
const LAG_MIN_DEFAULT: f64 = 15.0;
/// VictoriaMetrics was seen to lose the last 8 s when killed; queues in front of a cluster hold more.
const LAG_MIN_LEAST: f64 = 1.0;
const LAG_MIN_MOST: f64 = 1_440.0;
/// How often what is new goes out, seconds.
const INTERVAL_S_DEFAULT: f64 = 10.0;
/// Longest name, organisation, bucket or token, bytes.
const TEXT_MAX: usize = 512;
/// Most sinks: each keeps a cursor of its own.
const SINKS_MAX: usize = 8;

/// A time-series store that gets the history.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkPlan {
    /// What people call it, and the name of its cursor.
    pub name: String,
    /// `http://host:port` or `https://host`.
    pub url: String,
    /// Organisation.
    pub org: String,
    /// Bucket.
    pub bucket: String,
    /// Where the token is.
    pub token: Token,
    /// File with a certificate authority of one's own.
    pub ca_file: Option<String>,
    /// Tag `gateway`.
    pub gateway: String,
    /// Metrics that are sent; empty: all. A `*` at the end stands for anything.
    pub metrics: Vec<String>,
    /// A sink that is new gets what is younger than this, µs since 1970; `None`: all.
    pub since_us: Option<i64>,
    /// What it took counts as kept after this, ms.
    pub lag_ms: u64,
    /// How often what is new goes out, ms.
    pub interval_ms: u64,
    /// Whether bodies are compressed where the sink takes it.
    pub gzip: bool,
}

/// Where a token is; never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// None is needed.
    None,
    /// In the configuration.
    Text(String),
    /// In the first line of a file.
    File(String),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(file) => write!(f, "File({file:?})"),
        }
    }
}

impl Compiler<'_> {
    pub(super) fn sink(&mut self, sink: raw::Sink, field: &str) -> Option<SinkPlan> {
        let key = |key: &str| format!("{field}.{key}");
        self.plain_name(&sink.name, &key("name"));
        let number: usize = field.trim_start_matches("sink[").trim_end_matches(']').parse().unwrap_or(0);
        if number >= SINKS_MAX {
            self.problem(sink.name.span(), field, format!("at most {SINKS_MAX} sinks"));
        }
        if let Err(what) = check_url(sink.url.get_ref()) {
            self.problem(sink.url.span(), &key("url"), what);
        }
        if sink.bucket.get_ref().is_empty() || sink.bucket.get_ref().len() > TEXT_MAX {
            self.problem(
                sink.bucket.span(),
                &key("bucket"),
                "the bucket's name is needed (any word where the store has none)",
            );
        }
        let token = self.secret(sink.token, sink.token_file, &key("token"), check_token);
        let gateway = sink
            .gateway
            .map_or_else(|| Some("giot".to_owned()), |gateway| self.tag(gateway, &key("gateway")));
        let metrics =
            sink.metrics.map_or_else(|| Some(Vec::new()), |metrics| self.metrics(metrics, &key("metrics")));
        let since_us = sink.since.map_or(Some(None), |since| self.since(&since, &key("since")).map(Some));
        let lag_min =
            self.within(sink.lag_min.as_ref(), &key("lag_min"), LAG_MIN_DEFAULT, LAG_MIN_LEAST, LAG_MIN_MOST);
        let interval_s =
            self.within(sink.interval_s.as_ref(), &key("interval_s"), INTERVAL_S_DEFAULT, 1.0, 3_600.0);
        Some(SinkPlan {
            name: sink.name.into_inner(),
            url: sink.url.into_inner().trim_end_matches('/').to_owned(),
            org: sink.org.unwrap_or_default(),
            bucket: sink.bucket.into_inner(),
            token,
            ca_file: sink.ca_file,
            gateway: gateway?,
            metrics: metrics?,
            since_us: since_us?,
            lag_ms: to_ms(lag_min? * 60.0),
            interval_ms: to_ms(interval_s?),
            gzip: sink.gzip.unwrap_or(true),
        })
    }

    /// A name that is part of keys, paths and labels.
    pub(super) fn plain_name(&mut self, name: &Spanned<String>, field: &str) {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if name.get_ref().is_empty() || name.get_ref().len() > 32 || !name.get_ref().bytes().all(is_plain) {
            self.problem(name.span(), field, "1 to 32 of a-z, 0-9, '-', '_'");
        }
    }

    /// A secret that stands in the text or in a file.
    pub(super) fn secret(
        &mut self,
        text: Option<Spanned<String>>,
        file: Option<String>,
        field: &str,
        check: fn(&str) -> Result<(), &'static str>,
    ) -> Token {
        match (text, file) {
            (Some(text), None) => {
                // A mask stands for a secret that was judged when it was written.
                let found = if text.get_ref() == MASK { Ok(()) } else { check(text.get_ref()) };
                if let Err(what) = found {
                    self.problem(text.span(), field, what);
                }
                Token::Text(text.into_inner())
            }
            (None, Some(file)) => Token::File(file),
            (None, None) => Token::None,
            (Some(text), Some(_)) => {
                let key = field.rsplit('.').next().unwrap_or_default();
                self.problem(text.span(), field, format!("give {key} or {key}_file, not both"));
                Token::Text(text.into_inner())
            }
        }
    }

    fn tag(&mut self, text: Spanned<String>, field: &str) -> Option<String> {
        let is_good = |text: &str| {
            !text.is_empty() && text.len() <= 64 && !text.chars().any(|c| c.is_control() || c == '\\')
        };
        if !is_good(text.get_ref()) {
            self.problem(text.span(), field, "1 to 64 bytes without control characters and backslashes");
            return None;
        }
        Some(text.into_inner())
    }

    fn metrics(&mut self, metrics: Spanned<Vec<String>>, field: &str) -> Option<Vec<String>> {
        let is_good = |pattern: &String| {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            !pattern.is_empty() && (name.is_empty() || crate::ingest::is_metric_name(name))
        };
        if metrics.get_ref().is_empty() || !metrics.get_ref().iter().all(is_good) {
            self.problem(
                metrics.span(),
                field,
                "names of metrics, or beginnings of names with a * behind: [\"soil_*\", \"battery\"]",
            );
            return None;
        }
        Some(metrics.into_inner())
    }

    fn since(&mut self, since: &Spanned<String>, field: &str) -> Option<i64> {
        let when = since.get_ref().parse::<When>();
        let at_us =
            when.and_then(|when| when.at_us(TimeZone::UTC).ok_or_else(|| "outside the calendar".to_owned()));
        at_us.map_err(|what| self.problem(since.span(), field, what)).ok()
    }

    fn within(
        &mut self,
        value: Option<&Spanned<f64>>,
        field: &str,
        default: f64,
        least: f64,
        most: f64,
    ) -> Option<f64> {
        let Some(value) = value else { return Some(default) };
        if (least..=most).contains(value.get_ref()) {
            return Some(*value.get_ref());
        }
        self.problem(value.span(), field, format!("between {least} and {most}"));
        None
    }
}

/// Says what is wrong with a store's URL.
fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or("begins with http:// or https://")?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains('@') {
        return Err("no user or password in it: use token or token_file");
    }
    if host.contains(['/', '?', '#']) {
        return Err(
            "no path behind the host: put a proxy in front of a store that answers /api/v2/write elsewhere",
        );
    }
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let port = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map(|(_, port)| port);
    let has_name = !host.is_empty() && !host.starts_with(':') && host.chars().all(is_good);
    if !has_name || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err("written as http://host:port or https://host");
    }
    Ok(())
}

/// Says what is wrong with a token.
pub(crate) fn check_token(token: &str) -> Result<(), &'static str> {
    if token.is_empty() || token.len() > TEXT_MAX || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("1 to 512 printable characters without spaces");
    }
    Ok(())
}

fn to_ms(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the callers' ranges"
    )]
    let ms = (seconds * 1000.0).round() as u64;
    ms
}

#[cfg(test)]
mod tests {
    use crate::config::{REFERENCE, compile};

    use super::*;

    const GOOD: &str = "[[sink]]\nname = \"tinh\"\nurl = \"https://tsdb.example.vn\"\nbucket = \"htx\"\n";

    fn problems(text: &str) -> Vec<(Option<usize>, String)> {
        let error = compile("giot.toml", text).expect_err("a broken configuration");
        error.problems.into_iter().map(|problem| (problem.line, problem.field)).collect()
    }

    #[test]
    fn a_short_sink_has_the_defaults_of_the_reference() {
        let short = compile("a", GOOD).expect("valid").sinks.remove(0);
        let shown = REFERENCE.split_once("# [[sink]]").expect("a sink in the reference").1;
        let body: String = shown
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with('#'))
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        let long = compile("b", &format!("[[sink]]\n{body}"))
            .expect("the reference's sink is valid")
            .sinks
            .remove(0);
        assert_eq!((short.lag_ms, short.interval_ms, short.gzip), (long.lag_ms, long.interval_ms, long.gzip));
        assert_eq!((short.lag_ms, short.interval_ms), (900_000, 10_000));
        assert_eq!((short.gateway.as_str(), short.metrics.len()), ("giot", 0));
    }

    #[test]
    fn every_problem_of_a_sink_is_reported_with_its_line() {
        let text = "[[sink]]\nname = \"A\"\nurl = \"https://a/b\"\nbucket = \"\"\ntoken = \"a b\"\ngateway = \"a\\\\b\"\n\
                    metrics = [\"a b\"]\nsince = \"now\"\nlag_min = 0.5\ninterval_s = 0\n";
        let keys = ["name", "url", "bucket", "token", "gateway", "metrics", "since", "lag_min", "interval_s"];
        let want: Vec<_> =
            (2..).zip(keys).map(|(line, key)| (Some(line), format!("sink[0].{key}"))).collect();
        assert_eq!(problems(text), want);
        assert_eq!(problems(&format!("{GOOD}{GOOD}")), [(Some(6), "sink[1].name".to_owned())]);
        assert_eq!(problems(&format!("{GOOD}tokenn = \"x\"\n")).len(), 1);
    }

    #[test]
    fn urls_are_roots_without_secrets() {
        for good in ["http://127.0.0.1:8086", "https://eu.example.com/", "http://[::1]:8086"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "ftp://a",
            "http://",
            "http://a:x",
            "http://u:p@a",
            "http://a?b",
            "http://a b",
            "http://:80",
            "a",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let text = format!("{GOOD}token = \"s3cret\"\n");
        let settings = compile("a", &text).expect("valid");
        assert!(!format!("{settings:?}").contains("s3cret"));
    }
}
