//! What a sink's answer means for the lines that were sent. Pure.

/// What came back, or did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP answer: status and text.
    Status(u16, String),
    /// An HTTP answer that asks not to be asked again before so many milliseconds: status, text, and those.
    Later(u16, String, u64),
    /// No answer: refused, timed out, broken off.
    None(String),
}

impl Answer {
    /// After how many milliseconds the sink wants to be asked again, if it says so.
    #[must_use]
    pub const fn later_ms(&self) -> Option<u64> {
        match self {
            Self::Later(_, _, ms) => Some(*ms),
            Self::Status(..) | Self::None(_) => None,
        }
    }
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The sink has the lines.
    Taken,
    /// The sink has those it will ever take: the others are older than what it keeps.
    Outdated,
    /// At least one line is at fault: find it.
    BadLine,
    /// Too much at once.
    TooLarge,
    /// It does not take compressed bodies.
    NoCompression,
    /// Token or rights are wrong: only a person can mend it.
    Forbidden,
    /// There is no such bucket, organisation or path.
    Unknown,
    /// It is too busy: try again.
    Busy,
    /// It is not there, or not whole: try again, and it may have lost what it took last.
    Away,
}

impl Verdict {
    /// Judges an answer to lines that were sent compressed or not.
    #[must_use]
    pub fn of(answer: &Answer, is_compressed: bool) -> Self {
        let (status, text) = match answer {
            Answer::None(_) => return Self::Away,
            Answer::Status(status, text) | Answer::Later(status, text, _) => (*status, text),
        };
        match status {
            204 => Self::Taken,
            // A page to log in to a network, or another service: whoever takes lines says that there is nothing to say.
            200..=299 => Self::Away,
            400 | 422 if text.contains("retention") => Self::Outdated,
            415 if is_compressed => Self::NoCompression,
            400 | 415 | 422 => Self::BadLine,
            401 | 403 => Self::Forbidden,
            404 => Self::Unknown,
            413 => Self::TooLarge,
            500..=599 => Self::Away,
            // 409 and 429 by InfluxDB's documentation; anything else is not about the lines.
            _ => Self::Busy,
        }
    }

    /// Judges an answer to a message, or to the question whether anybody is there: services take them in their own words.
    #[must_use]
    pub fn of_any(answer: &Answer) -> Self {
        match answer {
            Answer::Status(200..=299, _) | Answer::Later(200..=299, ..) => Self::Taken,
            Answer::Status(..) | Answer::Later(..) | Answer::None(_) => Self::of(answer, false),
        }
    }

    /// Whether only a person can help: such a sink is asked rarely.
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        matches!(self, Self::Forbidden | Self::Unknown | Self::BadLine)
    }

    /// The word for a state in which nothing gets through.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Taken | Self::Outdated => "ok",
            Self::BadLine => "rejecting",
            Self::TooLarge | Self::NoCompression | Self::Busy => "busy",
            Self::Forbidden => "forbidden",
            Self::Unknown => "unknown",
            Self::Away => "away",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_what_helps() {
        use Verdict::{Away, BadLine, Busy, Forbidden, NoCompression, Outdated, Taken, TooLarge, Unknown};
        let cases = [
            (204, "", Taken),
            (200, "<html>log in</html>", Away),
            (200, "", Away),
            (202, "", Away),
            (400, "unable to parse 'x': missing fields", BadLine),
            (422, "unprocessable entity: failure writing points", BadLine),
            (422, "partial write: points beyond retention policy dropped=5", Outdated),
            (401, "unauthorized access", Forbidden),
            (403, "", Forbidden),
            (404, "bucket \"b\" not found", Unknown),
            (409, "", Busy),
            (413, "", TooLarge),
            (415, "", NoCompression),
            (429, "", Busy),
            (301, "", Busy),
            (500, "", Away),
            (502, "", Away),
            (503, "", Away),
        ];
        for (status, text, verdict) in cases {
            assert_eq!(
                Verdict::of(&Answer::Status(status, text.to_owned()), true),
                verdict,
                "{status} {text}"
            );
        }
        assert_eq!(Verdict::of(&Answer::Status(415, String::new()), false), BadLine);
        for (status, verdict) in [(429, Busy), (503, Away)] {
            assert_eq!(Verdict::of(&Answer::Later(status, String::new(), 1_000), false), verdict);
        }
        assert_eq!(Verdict::of(&Answer::None("timed out".to_owned()), true), Away);
        for (status, verdict) in [(200, Taken), (202, Taken), (204, Taken), (401, Forbidden), (500, Away)] {
            assert_eq!(Verdict::of_any(&Answer::Status(status, "ok".to_owned())), verdict, "{status}");
        }
    }
}
