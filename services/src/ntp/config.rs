//! What chronyd is told: its directives (chrony.conf(5)), given as arguments, so that no file of before counts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

/// What is to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NtpConfig {
    /// Names or addresses from which the time is taken.
    pub sources: BTreeSet<String>,
    /// Port of those; 123 unless it is a test.
    pub source_port: u16,
    /// Port to answer at.
    pub port: u16,
    /// An address of this box under which others ask.
    pub own: IpAddr,
    /// This box's clock is the reference while no source has the time, at this distance. Without it one that has no source
    /// says that it does not know the time.
    pub local: Option<u8>,
}

impl NtpConfig {
    /// The directives. Names were checked when they were set; one that would be more than a name is left out.
    pub(super) fn directives(&self, folder: &Path) -> Vec<String> {
        let folder = folder.display();
        let mut lines = vec![
            format!("pidfile {folder}/chronyd.pid"),
            format!("bindcmdaddress {folder}/chronyd.sock"),
            "cmdport 0".to_owned(),
            format!("driftfile {folder}/drift"),
            format!("port {}", self.port),
            // Whoever can reach this box may have the time; an answer is no longer than its question.
            "allow all".to_owned(),
        ];
        let plain = |host: &&String| {
            let part = |b: u8| b.is_ascii_alphanumeric() || b".-:_%".contains(&b);
            !host.is_empty() && !host.starts_with('-') && host.bytes().all(part)
        };
        for host in self.sources.iter().filter(plain) {
            lines.push(format!("server {host} port {} iburst minpoll 4 maxpoll 7", self.source_port));
        }
        if let Some(stratum) = self.local {
            lines.push(format!("local stratum {stratum} orphan"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_a_directive() {
        let sources = ["10.0.0.1", "pool.example", "::1", "a\nlocal stratum 1", "b offline", "", "-x"];
        let config = NtpConfig {
            sources: sources.map(str::to_owned).into(),
            source_port: 123,
            port: 123,
            own: [127, 0, 0, 1].into(),
            local: None,
        };
        let lines = config.directives(Path::new("/f"));
        let servers: Vec<_> =
            lines.iter().filter_map(|l| l.strip_prefix("server ")?.split(' ').next()).collect();
        assert_eq!(servers, ["10.0.0.1", "::1", "pool.example"]);
        assert!(lines.iter().all(|line| !line.contains('\n') && !line.starts_with("local")), "{lines:?}");
    }
}
