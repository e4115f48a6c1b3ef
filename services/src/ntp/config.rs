//! The configuration of chronyd (chrony.conf(5)).

use std::fmt::Write;
use std::path::Path;

/// A server to take the time from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Name or address.
    pub host: String,
    /// Port; 123 unless it is a test.
    pub port: u16,
}

/// What chronyd is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NtpConfig {
    /// Where the time comes from.
    pub sources: Vec<Source>,
    /// Who is answered, as networks; nobody when empty.
    pub clients: Vec<String>,
    /// Port to answer at.
    pub port: u16,
    /// This box's clock is the reference when no source is there, under this stratum. Without it a server without sources
    /// says that it does not know the time.
    pub local: Option<u8>,
}

impl NtpConfig {
    /// As chronyd reads it. Names were checked when they were set; one with a blank or a line end in it is left out.
    pub fn render(&self, folder: &Path) -> String {
        let folder = folder.display();
        let mut text = format!(
            "# Made by Rackwright at each start.\n\
             driftfile {folder}/drift\npidfile {folder}/chronyd.pid\nbindcmdaddress {folder}/chronyd.sock\ncmdport 0\n\
             port {}\nmakestep 1 3\n",
            self.port
        );
        let plain = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        for source in &self.sources {
            if let Some(host) = Some(source.host.as_str()).filter(plain) {
                line(
                    &mut text,
                    format_args!("server {host} port {} iburst minpoll 4 maxpoll 8", source.port),
                );
            }
        }
        for network in &self.clients {
            if let Some(network) = Some(network.as_str()).filter(plain) {
                line(&mut text, format_args!("allow {network}"));
            }
        }
        if let Some(stratum) = self.local {
            line(&mut text, format_args!("local stratum {stratum} orphan"));
        }
        text
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a string does not fail");
}
