//! What a connector knows of its source that people should see: a list of facts, worst told with what to do.

/// How much a fact matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    Ok,
    /// It works, and will not for long if nobody looks.
    Warn,
    /// Something is lost or stands still.
    Bad,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// One thing known of a source, such as the bytes a replication slot holds back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// A few words: `Log kept by the slot`.
    pub label: String,
    /// As people read it, with its unit: `1.4 GB of 10 GB`. Never a secret.
    pub value: String,
    pub level: Level,
    /// A sentence: what to do about it.
    pub hint: Option<String>,
}

impl Fact {
    pub fn new(label: &str, value: impl Into<String>) -> Self {
        Self { label: label.to_owned(), value: value.into(), level: Level::Ok, hint: None }
    }

    #[must_use]
    pub fn at(self, level: Level, hint: impl Into<String>) -> Self {
        Self { level, hint: Some(hint.into()), ..self }
    }
}

/// How a source is, as its connector last saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceHealth {
    pub facts: Vec<Fact>,
}
