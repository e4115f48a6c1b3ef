//! A moment as the API writes it: RFC 3339, UTC.

use serde::{Deserialize, Serialize};
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment; RFC 3339 on the wire, whole seconds for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-22T06:30:00Z")]
pub struct Timestamp(#[serde(with = "time::serde::rfc3339")] pub OffsetDateTime);

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self(at)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with whole seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.replace_nanosecond(0).unwrap_or(self.0);
        f.write_str(&whole.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Timestamp {
    /// Time passed since then, seconds; 0 when it lies ahead.
    pub fn seconds_ago(self, now: OffsetDateTime) -> i64 {
        (now - self.0).whole_seconds().max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_rfc_3339_on_the_wire_and_short_for_people() {
        let at = Timestamp(OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_250_000_000).unwrap());
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2023-11-14T22:13:20.25Z\"");
        assert_eq!(at.to_string(), "2023-11-14T22:13:20Z");
        assert_eq!(serde_json::from_str::<Timestamp>("\"2023-11-14T22:13:20.25Z\"").unwrap(), at);
    }
}
