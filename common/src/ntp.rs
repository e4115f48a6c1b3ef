//! Time: where racks have it from, and how controllers say that they have it.

use serde::{Deserialize, Serialize};

/// Where a rack has the time from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeView {
    /// Names or addresses: all regions that serve time; where none does, the site's time servers.
    pub sources: Vec<String>,
    /// The rack's own clock counts while none of them has the time.
    pub local: bool,
}

/// Whether a controller has the time to give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TimeState {
    /// Its settings say that it serves none.
    Off,
    /// It was just begun.
    #[default]
    Starting,
    /// It is not served; the message says why and what to do.
    Failed,
    /// It answers, and says that it does not know the time.
    Unsynchronised,
    /// It gives the time.
    Synchronised,
    /// From a newer version.
    #[serde(other)]
    Unknown,
}

impl TimeState {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Failed => "failed",
            Self::Unsynchronised => "unsynchronised",
            Self::Synchronised => "synchronised",
            Self::Unknown => "unknown",
        }
    }
}

/// What a controller says of the time that it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimeReport {
    /// Whether it has it.
    pub state: TimeState,
    /// For people: more about that, and what to do.
    pub message: String,
    /// Distance from a reference clock, while synchronised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratum: Option<u8>,
    /// By how much the box's own clock is ahead of that time, nanoseconds, while synchronised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_ns: Option<i64>,
}

impl TimeReport {
    /// Of one that is not synchronised.
    pub fn without(state: TimeState, message: impl Into<String>) -> Self {
        Self { state, message: message.into(), stratum: None, offset_ns: None }
    }

    /// Of one that has the time from there.
    pub fn synchronised(stratum: u8, source: &str, offset_seconds: f64) -> Self {
        // Saturates; a clock that is centuries wrong is wrong enough.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float becomes the nearest integer that there is"
        )]
        let offset_ns = (offset_seconds * 1e9).round() as i64;
        let by = format!("{:.6} s", offset_seconds.abs());
        let clock = if offset_ns < 0 { "behind" } else { "ahead" };
        let message = format!("stratum {stratum} from {source}, this box's clock {by} {clock}");
        Self { state: TimeState::Synchronised, message, stratum: Some(stratum), offset_ns: Some(offset_ns) }
    }

    /// Has the time to give.
    pub fn is_synchronised(&self) -> bool {
        self.state == TimeState::Synchronised
    }

    /// Says something else than this one, beside how far the clock is off.
    pub fn differs(&self, other: &Self) -> bool {
        let said = |report: &Self| (!report.is_synchronised()).then(|| report.message.clone());
        (self.state, self.stratum, said(self)) != (other.state, other.stratum, said(other))
    }

    /// By how much the box's clock is ahead, seconds.
    pub fn offset_seconds(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "offsets are small numbers")]
        self.offset_ns.map(|ns| ns as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_moves_is_no_news_and_a_new_state_is() {
        let first = TimeReport::synchronised(3, "10.0.0.1", -0.000_012);
        assert_eq!(first.message, "stratum 3 from 10.0.0.1, this box's clock 0.000012 s behind");
        assert_eq!((first.offset_ns, first.offset_seconds()), (Some(-12_000), Some(-0.000_012)));
        assert!(!first.differs(&TimeReport::synchronised(3, "10.0.0.1", 0.5)));
        assert!(first.differs(&TimeReport::synchronised(4, "10.0.0.1", 0.5)));
        let without = |message: &str| TimeReport::without(TimeState::Failed, message);
        assert!(first.differs(&without("a")) && without("a").differs(&without("b")));
    }

    #[test]
    fn a_state_of_a_newer_version_is_read() {
        let report: TimeReport =
            serde_json::from_str(r#"{"state": "leaping", "message": "x", "more": 1}"#).unwrap();
        assert_eq!(report, TimeReport::without(TimeState::Unknown, "x"));
    }
}
