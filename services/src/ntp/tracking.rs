//! How the clock is, as `chronyc -c tracking` says it.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const CLIENTS: [&str; 2] = ["/usr/bin/chronyc", "/usr/sbin/chronyc"];
const PATIENCE: Duration = Duration::from_secs(2);
/// Sources of this stratum and above know no time.
const NO_TIME: u8 = 16;

/// What chronyd says of the clock.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tracking {
    /// Name or address of the source; empty when it is this box's clock.
    pub(super) source: String,
    pub(super) stratum: u8,
    /// Seconds by which the box's clock is ahead.
    pub(super) offset: f64,
    pub(super) synchronised: bool,
}

impl Tracking {
    pub(super) async fn read(folder: &Path) -> io::Result<Self> {
        let program = CLIENTS.into_iter().find(|path| Path::new(path).exists()).unwrap_or("chronyc");
        let output = Command::new(program)
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
        let [id, source, stratum, _, offset, .., leap] = fields[..] else { return None };
        let stratum = stratum.parse().ok()?;
        Some(Self {
            // 127.127.1.1 stands for the clock itself.
            source: if id == "7F7F0101" { String::new() } else { source.to_owned() },
            stratum,
            offset: offset.parse().ok()?,
            synchronised: leap != "Not synchronised" && (1..NO_TIME).contains(&stratum),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chronyc_says_is_read() {
        let said = "0A000001,10.0.0.1,3,1763820000.0,-0.000012000,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,Normal\n";
        let tracking = Tracking::parse(said).unwrap();
        assert_eq!(
            (tracking.source.as_str(), tracking.stratum, tracking.synchronised),
            ("10.0.0.1", 3, true)
        );
        assert!((tracking.offset + 0.000_012).abs() < 1e-12);
        let own = "7F7F0101,,10,1763820000.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,Normal";
        assert_eq!(Tracking::parse(own).unwrap().source, "");
        let none = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised";
        assert!(!Tracking::parse(none).unwrap().synchronised);
        assert_eq!(Tracking::parse("506 Cannot talk to daemon"), None);
    }
}
