//! The rules of a `[[message]]`: an address that is told what the diary says. Nothing here reads a file: the address and the token that
//! are in files are read when the gateway starts.

use std::collections::BTreeMap;
use std::fmt;

use giot_engine::{Event, Plan, ZoneId};
use toml::Spanned;

use super::compile::Compiler;
use super::raw;
use super::sink::{Token, check_token};
use crate::words::Lang;

/// Most of them: each is asked for its place at every entry of the diary.
const MESSAGES_MAX: usize = 16;
/// Longest address, bytes.
const URL_MAX: usize = 2_048;
/// Most fields of one's own, and their longest name or value, bytes.
const FIELDS_MAX: usize = 8;
const FIELD_MAX: usize = 256;
/// What people want to be told of at night.
const EVENTS_DEFAULT: [Event; 3] = [Event::Fault, Event::Locked, Event::Notified];

/// An address that is told what the diary says.
#[derive(Clone, Debug, PartialEq)]
pub struct MessagePlan {
    /// What people call it, and the name of its place in the diary.
    pub name: String,
    /// Where messages go; never shown, because whoever knows it may be able to write there.
    pub url: Token,
    /// Sent as `Authorization: Bearer`.
    pub token: Token,
    /// Kinds of entries that are told.
    pub events: Vec<Event>,
    /// Only of these zones; empty: of all, and of the farm as a whole.
    pub zones: Vec<ZoneId>,
    /// The language of the messages.
    pub lang: Lang,
    /// How a message is written.
    pub format: MessageFormat,
}

/// How a message is written.
#[derive(Clone, PartialEq, Eq)]
pub enum MessageFormat {
    /// Plain text.
    Text,
    /// A JSON object with `title`, `text`, `entries` and these fields.
    Json(BTreeMap<String, String>),
}

impl fmt::Debug for MessageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fields may hold a key of the service.
        f.write_str(match self {
            Self::Text => "Text",
            Self::Json(_) => "Json(…)",
        })
    }
}

impl Compiler<'_> {
    pub(super) fn message(&mut self, message: raw::Message, plan: &Plan, idx: usize) -> Option<MessagePlan> {
        let key = |key: &str| format!("message[{idx}].{key}");
        self.plain_name(&message.name, &key("name"));
        if idx >= MESSAGES_MAX {
            self.problem(
                message.name.span(),
                &format!("message[{idx}]"),
                format!("at most {MESSAGES_MAX} messages"),
            );
        }
        let url = self.secret(message.url, message.url_file, &key("url"), check_message_url);
        if url == Token::None && !self.is_any_spoilt(&format!("message[{idx}]"), &["url", "url_file"]) {
            self.problem(message.name.span(), &key("url"), "an address is needed: url, or url_file");
        }
        let token = self.secret(message.token, message.token_file, &key("token"), check_token);
        let events = message
            .events
            .map_or_else(|| EVENTS_DEFAULT.to_vec(), |events| self.events(&events, &key("events")));
        let zones = message.zones.map_or_else(Vec::new, |zones| self.zones_of(&zones, plan, &key("zones")));
        let lang = message.language.map_or(Some(Lang::Vi), |lang| {
            let parsed = lang.get_ref().parse();
            parsed.map_err(|what: String| self.problem(lang.span(), &key("language"), what)).ok()
        });
        let fields = message.fields.map_or_else(BTreeMap::new, |fields| self.fields(fields, &key("fields")));
        let format = match message.format.as_ref().map(|format| format.get_ref().as_str()) {
            None | Some("text") if fields.is_empty() => MessageFormat::Text,
            None | Some("json") => MessageFormat::Json(fields),
            Some("text") if self.is_spoilt(&key("fields")) => MessageFormat::Text,
            Some(_) => {
                let span = message.format.map_or(0..0, |format| format.span());
                self.problem(span, &key("format"), "\"text\" without fields, or \"json\"");
                return None;
            }
        };
        Some(MessagePlan { name: message.name.into_inner(), url, token, events, zones, lang: lang?, format })
    }

    fn events(&mut self, events: &Spanned<Vec<Spanned<String>>>, field: &str) -> Vec<Event> {
        let all = || Event::ALL.iter().map(|event| event.code()).collect::<Vec<_>>().join(", ");
        if events.get_ref().is_empty() {
            self.problem(events.span(), field, format!("at least one of {}", all()));
        }
        let mut known = Vec::new();
        for (idx, event) in events.get_ref().iter().enumerate() {
            match Event::from_code(event.get_ref()) {
                Some(event) => known.push(event),
                None => self.problem(event.span(), &format!("{field}[{idx}]"), format!("one of {}", all())),
            }
        }
        known
    }

    fn zones_of(&mut self, zones: &Spanned<Vec<Spanned<String>>>, plan: &Plan, field: &str) -> Vec<ZoneId> {
        if zones.get_ref().is_empty() {
            self.problem(zones.span(), field, "at least one zone; leave it out for all of them");
        }
        let mut known = Vec::new();
        for (idx, zone) in zones.get_ref().iter().enumerate() {
            match zone.get_ref().parse::<ZoneId>() {
                Ok(id) if plan.zones.contains_key(&id) => known.push(id),
                Ok(_) | Err(_) if self.forgiven.zones.contains(zone.get_ref()) => {}
                Ok(_) | Err(_) => {
                    let what = format!("no zone is called {}", zone.get_ref());
                    self.problem(zone.span(), &format!("{field}[{idx}]"), what);
                }
            }
        }
        known
    }

    fn fields(&mut self, fields: Spanned<BTreeMap<String, String>>, field: &str) -> BTreeMap<String, String> {
        let is_good = |(name, value): (&String, &String)| {
            !name.is_empty()
                && name.len() <= FIELD_MAX
                && value.len() <= FIELD_MAX
                && !["title", "text", "entries"].contains(&name.as_str())
        };
        if fields.get_ref().len() > FIELDS_MAX || !fields.get_ref().iter().all(is_good) {
            let what = format!(
                "at most {FIELDS_MAX} texts of up to {FIELD_MAX} bytes, none called title, text or entries"
            );
            self.problem(fields.span(), field, what);
        }
        fields.into_inner()
    }
}

/// Says what is wrong with an address for messages.
pub(crate) fn check_message_url(url: &str) -> Result<(), &'static str> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or("begins with http:// or https://")?;
    if url.len() > URL_MAX || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("at most 2048 printable characters without spaces");
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err("no user or password in it: use token or token_file");
    }
    if host.is_empty() || host.starts_with(':') {
        return Err("written as https://host/path");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::{REFERENCE, compile};

    use super::*;

    const GOOD: &str = "[[message]]\nname = \"to\"\nurl = \"https://ntfy.example.vn/na-son\"\n";

    #[test]
    fn a_short_message_has_the_defaults_of_the_reference() {
        let short = compile("a", GOOD).expect("valid").messages.remove(0);
        let shown = REFERENCE.split_once("# [[message]]").expect("a message in the reference").1;
        let body: String = shown
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with('#'))
            .filter(|line| {
                !line.contains("zones =") && !line.contains("_file =") && !line.contains("fields =")
            })
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        let long = compile("b", &format!("[[message]]\n{body}")).expect("the reference's message is valid");
        let long = long.messages.first().expect("one").clone();
        assert_eq!((&short.events, short.lang, &short.format), (&long.events, long.lang, &long.format));
        assert_eq!(short.events, EVENTS_DEFAULT);
    }

    #[test]
    fn every_problem_of_a_message_is_reported_with_its_line() {
        let text = "[[message]]\nname = \"A\"\nurl = \"ftp://x\"\ntoken = \"a b\"\nevents = [\"fire\"]\nzones = [\"z9\"]\n\
                    language = \"fr\"\nfields = { text = \"x\" }\nformat = \"xml\"\n";
        let keys = ["name", "url", "token", "events[0]", "zones[0]", "language", "fields", "format"];
        let want: Vec<_> =
            (2..).zip(keys).map(|(line, key)| (Some(line), format!("message[0].{key}"))).collect();
        let error = compile("giot.toml", text).expect_err("a broken configuration");
        let got: Vec<_> = error.problems.into_iter().map(|problem| (problem.line, problem.field)).collect();
        assert_eq!(got, want);
        let error = compile("giot.toml", &format!("{GOOD}{GOOD}")).expect_err("one name for two");
        assert_eq!(error.problems.first().map(|problem| problem.line), Some(Some(5)));
        let error = compile("giot.toml", "[[message]]\nname = \"a\"\n").expect_err("no address");
        assert_eq!(error.problems.first().map(|problem| problem.field.as_str()), Some("message[0].url"));
    }

    #[test]
    fn addresses_tokens_and_fields_are_never_shown() {
        let text = format!("{GOOD}token = \"s3cret\"\nfields = {{ chat_id = \"s3cret\" }}\n");
        let shown = format!("{:?}", compile("a", &text).expect("valid"));
        assert!(!shown.contains("s3cret") && !shown.contains("na-son"), "{shown}");
    }

    #[test]
    fn addresses_have_a_host_and_no_password() {
        for good in ["http://127.0.0.1:8086", "https://hooks.example.com/T0/B1?x=y"] {
            assert_eq!(check_message_url(good), Ok(()), "{good}");
        }
        for bad in ["ntfy.sh/a", "https://", "https://u:p@a/b", "https://a/ b", "https:///a", "http://:80"] {
            assert!(check_message_url(bad).is_err(), "{bad}");
        }
    }
}
