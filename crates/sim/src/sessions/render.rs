//! Writes records: one JSON object each, fields in the declared order, into a buffer that is used again.
//!
//! Whatever does not change from record to record (names, places, pages, songs) is escaped once, when the world is made.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::catalog::Catalog;
use super::chain::{Chain, Page, State, StateId};
use super::world::{Profile, World};
use crate::generator::TopicSpec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Topic {
    ListenEvents = 0,
    PageViewEvents = 1,
    StatusChangeEvents = 2,
    AuthEvents = 3,
    UserInfo = 4,
}

pub const TOPIC_COUNT: usize = 5;

impl Topic {
    pub const ALL: [Self; TOPIC_COUNT] =
        [Self::ListenEvents, Self::PageViewEvents, Self::StatusChangeEvents, Self::AuthEvents, Self::UserInfo];

    pub fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::ListenEvents => "listen_events",
            Self::PageViewEvents => "page_view_events",
            Self::StatusChangeEvents => "status_change_events",
            Self::AuthEvents => "auth_events",
            Self::UserInfo => "user_info",
        }
    }
}

/// What a record says that its user's profile does not. With the profile it is enough to write the record again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Epoch milliseconds.
    pub at: i64,
    pub registration: i64,
    pub session: u64,
    pub ordinal: u32,
    pub item: u32,
    pub song: u32,
    pub state: StateId,
    /// Advertising revenue in thousandths of a dollar.
    pub revenue: u8,
}

/// Names and order of the fields of every topic, as a table's schema.
pub fn topics(tagged: bool) -> Vec<TopicSpec> {
    Topic::ALL.map(|topic| TopicSpec { name: topic.name().to_owned(), schema: Arc::new(schema(topic, tagged)) }).into()
}

fn schema(topic: Topic, tagged: bool) -> Schema {
    let own: &[&str] = match topic {
        Topic::ListenEvents => &["artist", "song", "duration", "ts", "sessionId", "auth", "level", "itemInSession"],
        Topic::PageViewEvents => &["ts", "sessionId", "page", "auth", "method", "status", "level", "itemInSession"],
        Topic::StatusChangeEvents => &["ts", "sessionId", "auth", "level", "itemInSession"],
        Topic::AuthEvents => &["ts", "sessionId", "level", "itemInSession", "success"],
        Topic::UserInfo => &["ts", "userId", "lastName", "firstName", "gender", "registration", "level"],
    };
    let mut fields: Vec<Field> = own.iter().map(|name| field(name, false)).collect();
    if topic != Topic::UserInfo {
        fields.extend(["zip", "city", "state", "lat", "lon", "userAgent"].map(|name| field(name, false)));
        fields.extend(["userId", "lastName", "firstName", "gender", "registration"].map(|name| field(name, true)));
        fields.extend(tagged.then(|| field("tag", true)));
    }
    fields.extend((topic == Topic::PageViewEvents).then(|| field("ad_revenue", true)));
    Schema::new(fields)
}

fn field(name: &str, nullable: bool) -> Field {
    let data_type = match name {
        "ts" | "sessionId" | "itemInSession" | "status" | "userId" | "registration" => DataType::Int64,
        "duration" | "lat" | "lon" => DataType::Float64,
        "success" => DataType::Boolean,
        // Written as decimal text, so that it is exact in a decimal column and sums without drift.
        "ad_revenue" => DataType::Decimal128(18, 6),
        _ => DataType::Utf8,
    };
    Field::new(name, data_type, nullable)
}

/// What records are made of.
#[derive(Debug)]
pub struct Renderer {
    pub chain: Chain,
    pub world: World,
    pub catalog: Catalog,
    first_user_id: u64,
    /// `,"tag":...`, or nothing.
    tag: Box<str>,
}

impl Renderer {
    pub fn new(chain: Chain, world: World, catalog: Catalog, first_user_id: u64, tag: Option<&str>) -> Self {
        let tag = tag.map(|tag| format!(",\"tag\":{}", json_string(tag))).unwrap_or_default();
        Self { chain, world, catalog, first_user_id, tag: tag.into_boxed_str() }
    }

    pub fn user_id(&self, ordinal: u32) -> u64 {
        self.first_user_id.saturating_add(u64::from(ordinal))
    }

    /// Replaces the contents of `out` with the record.
    pub fn write(&self, topic: Topic, event: &Event, profile: &Profile, out: &mut Vec<u8>) {
        out.clear();
        let Some(state) = self.chain.state(event.state) else { return };
        match topic {
            Topic::ListenEvents => self.listen(event, state, out),
            Topic::PageViewEvents => {
                time_and_session(event, out);
                text(out, &state.page_json);
                item(event, out);
            }
            Topic::StatusChangeEvents => {
                time_and_session(event, out);
                text(out, &state.auth_json);
                item(event, out);
            }
            Topic::AuthEvents => {
                time_and_session(event, out);
                text(out, &state.level_json);
                item(event, out);
                text(out, if state.logged_in { ",\"success\":true" } else { ",\"success\":false" });
            }
            Topic::UserInfo => {
                text(out, "{\"ts\":");
                integer(out, event.at);
                self.user(event, profile, out);
                text(out, &state.level_json);
            }
        }
        if topic != Topic::UserInfo {
            self.device(profile, out);
            if state.shows_user {
                self.user(event, profile, out);
                text(out, &self.tag);
            }
        }
        if topic == Topic::PageViewEvents && state.page == Page::Advertisement {
            text(out, ",\"ad_revenue\":0.0");
            text(out, if event.revenue < 10 { "0" } else { "" });
            integer(out, event.revenue);
        }
        out.push(b'}');
    }

    fn listen(&self, event: &Event, state: &State, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(song) = self.catalog.songs.get(event.song as usize) {
            text(out, &song.json);
        }
        text(out, ",\"ts\":");
        integer(out, event.at);
        text(out, ",\"sessionId\":");
        integer(out, event.session);
        text(out, &state.auth_json);
        item(event, out);
    }

    fn device(&self, profile: &Profile, out: &mut Vec<u8>) {
        if let Some(place) = self.world.places.rows.get(profile.place as usize) {
            text(out, &place.json);
        }
        if let Some(agent) = self.world.agents.rows.get(profile.agent as usize) {
            text(out, agent);
        }
    }

    fn user(&self, event: &Event, profile: &Profile, out: &mut Vec<u8>) {
        text(out, ",\"userId\":");
        integer(out, self.user_id(event.ordinal));
        let names = [(&self.world.surnames.rows, profile.surname), (&self.world.first_names.rows, profile.first_name)];
        for name in names.iter().filter_map(|(rows, index)| rows.get(*index as usize)) {
            out.push(b',');
            text(out, name);
        }
        text(out, ",\"registration\":");
        integer(out, event.registration);
    }
}

fn time_and_session(event: &Event, out: &mut Vec<u8>) {
    text(out, "{\"ts\":");
    integer(out, event.at);
    text(out, ",\"sessionId\":");
    integer(out, event.session);
}

fn item(event: &Event, out: &mut Vec<u8>) {
    text(out, ",\"itemInSession\":");
    integer(out, event.item);
}

fn text(out: &mut Vec<u8>, part: &str) {
    out.extend_from_slice(part.as_bytes());
}

fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A text as a JSON string, quotation marks included.
pub fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
