//! How the clock is, as `chronyc -c tracking` says it.

use super::client;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(2);
/// Sources of this stratum and above know no time.
const NO_TIME: u8 = 16;

/// How time is served.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum NtpState {
    /// It was just begun.
    #[default]
    Starting,
    /// chronyd is not installed.
    NoProgram,
    /// It does not run.
    Failed {
        /// Why.
        reason: String,
    },
    /// It runs, and has no time to give.
    Unsynchronised,
    /// It gives the time.
    Synchronised {
        /// Distance from the reference clock.
        stratum: u8,
        /// The source, by name or address.
        source: String,
        /// By how much the box's clock is wrong, seconds; above 0 when it is fast.
        offset: f64,
    },
}

impl fmt::Display for NtpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::NoProgram => f.write_str("no chronyd: install the package `chrony`"),
            Self::Failed { reason } => write!(f, "does not run: {reason}"),
            Self::Unsynchronised => {
                f.write_str("runs, and has no time yet: is a time server set and reachable?")
            }
            Self::Synchronised { stratum, source, offset } => {
                write!(f, "stratum {stratum} from {source}, offset {:.6} s", offset)
            }
        }
    }
}

/// What chronyd says of the clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracking {
    source: String,
    stratum: u8,
    offset: f64,
    synchronised: bool,
}

impl Tracking {
    pub(super) async fn read(folder: &Path) -> io::Result<Self> {
        let output = Command::new(client())
            .args(["-c", "-h"])
            .arg(folder.join("chronyd.sock"))
            .arg("tracking")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, output).await??;
        let text = String::from_utf8_lossy(&output.stdout);
        Self::parse(&text).ok_or_else(|| io::Error::other(format!("chronyc says `{}`", text.trim())))
    }

    /// One line: reference id, name or address, stratum, reference time, offset of the system clock, … , leap status.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.trim().split(',').collect();
        let [_, source, stratum, _, offset, .., leap] = fields[..] else { return None };
        Some(Self {
            source: source.to_owned(),
            stratum: stratum.parse().ok()?,
            offset: offset.parse().ok()?,
            synchronised: !leap.eq_ignore_ascii_case("not synchronised"),
        })
    }
}

impl From<Tracking> for NtpState {
    fn from(tracking: Tracking) -> Self {
        if !tracking.synchronised || tracking.stratum >= NO_TIME {
            return Self::Unsynchronised;
        }
        Self::Synchronised { stratum: tracking.stratum, source: tracking.source, offset: tracking.offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chronyc_says_is_read() {
        let said = "7F7F0101,,10,1763820000.0,0.000000001,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,Normal\n";
        let state = NtpState::from(Tracking::parse(said).unwrap());
        let NtpState::Synchronised { stratum, offset, .. } = state else { panic!("{state}") };
        assert!(stratum == 10 && offset < 1e-6);
        let none = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised";
        assert_eq!(NtpState::from(Tracking::parse(none).unwrap()), NtpState::Unsynchronised);
        assert_eq!(Tracking::parse("506 Cannot talk to daemon"), None);
    }
}
