//! Faults as a small text file, read again whenever it changes. One fault a line:
//!
//! ```text
//! slow 1500          # every answer comes 1500 ms late
//! wrong-password     # no password fits
//! refuse 0xd5        # power and boot commands are refused with this code (default 0xd5)
//! stuck-off          # says on, stays off
//! vanish 200         # does not answer for 200 s from the moment the file was written
//! drop 3             # one datagram in three is lost
//! duplicate 2        # one datagram in two comes twice
//! ```

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::command::completion;
use crate::server::Behaviour;

/// The file is looked at this often at most.
const LOOK: Duration = Duration::from_millis(20);

/// The faults in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// What the BMC itself does wrong.
    pub behaviour: Behaviour,
    /// Answers come this late.
    pub slow: Option<Duration>,
    /// How long nothing is answered, from the moment the file was written.
    pub vanish: Option<Duration>,
    /// Nothing is answered now.
    pub vanished: bool,
    /// One datagram in so many is lost.
    pub drop: Option<u64>,
    /// One datagram in so many comes twice.
    pub duplicate: Option<u64>,
}

/// A line that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a fault: slow MS, wrong-password, refuse [CODE], stuck-off, vanish SECONDS, drop N, duplicate N"
)]
pub struct FaultError(pub String);

impl std::str::FromStr for Faults {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut faults = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                faults.apply(line).ok_or_else(|| FaultError(line.to_owned()))?;
            }
        }
        Ok(faults)
    }
}

impl Faults {
    fn apply(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim();
        let number = || value.parse::<u64>().ok();
        match name {
            "slow" => self.slow = Some(Duration::from_millis(number()?)),
            "wrong-password" => self.behaviour.wrong_password = true,
            "refuse" if value.is_empty() => self.behaviour.refuse = Some(completion::WRONG_STATE),
            "refuse" => self.behaviour.refuse = Some(parse_code(value)?),
            "stuck-off" => self.behaviour.stuck_off = true,
            "vanish" => self.vanish = Some(Duration::from_secs(number()?)),
            "drop" => self.drop = Some(number().filter(|every| *every > 0)?),
            "duplicate" => self.duplicate = Some(number().filter(|every| *every > 0)?),
            _ => return None,
        }
        Some(())
    }
}

fn parse_code(text: &str) -> Option<u8> {
    match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The file the faults come from.
#[derive(Debug)]
pub struct FaultFile {
    path: Option<PathBuf>,
    looked: Option<Instant>,
    written: Option<SystemTime>,
    faults: Faults,
}

impl FaultFile {
    /// No faults, ever.
    pub fn none() -> Self {
        Self { path: None, looked: None, written: None, faults: Faults::default() }
    }

    /// Faults from `path`; none while the file does not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..Self::none() }
    }

    /// The faults as last read.
    pub fn current(&self) -> Faults {
        self.faults
    }

    /// Reads the file again if it has changed. A file that makes no sense changes nothing and is told on stderr.
    pub fn refresh(&mut self) -> Faults {
        let now = Instant::now();
        if let Some(path) = self.path.as_ref().filter(|_| self.looked.is_none_or(|last| now >= last + LOOK)) {
            self.looked = Some(now);
            let written = std::fs::metadata(path).and_then(|data| data.modified()).ok();
            if written != self.written {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                match text.parse() {
                    Ok(faults) => self.faults = faults,
                    Err(error) => eprintln!("{}: {error}", path.display()),
                }
                self.written = written;
            }
        }
        self.faults.vanished = self.is_vanished();
        self.faults
    }

    fn is_vanished(&self) -> bool {
        let (Some(vanish), Some(written)) = (self.faults.vanish, self.written) else { return false };
        SystemTime::now().duration_since(written).is_ok_and(|age| age < vanish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_line() {
        let text = "slow 1500 # late\n\nwrong-password\nrefuse\nstuck-off\nvanish 200\ndrop 3\nduplicate 2\n";
        let faults: Faults = text.parse().unwrap();
        assert_eq!(
            faults,
            Faults {
                behaviour: Behaviour { wrong_password: true, refuse: Some(0xd5), stuck_off: true },
                slow: Some(Duration::from_millis(1500)),
                vanish: Some(Duration::from_secs(200)),
                vanished: false,
                drop: Some(3),
                duplicate: Some(2),
            }
        );
        assert_eq!("refuse 0xc0".parse::<Faults>().unwrap().behaviour.refuse, Some(0xc0));
    }

    #[test]
    fn a_line_that_names_no_fault_is_named() {
        for line in ["sloww 3", "slow", "drop 0", "refuse 0x1ff"] {
            assert_eq!(line.parse::<Faults>(), Err(FaultError(line.into())));
        }
    }

    #[test]
    fn faults_come_and_go_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults");
        let mut file = FaultFile::at(&path);
        assert_eq!(file.refresh(), Faults::default());
        std::fs::write(&path, "vanish 1000\n").unwrap();
        file.looked = None;
        assert!(file.refresh().vanished);
        std::fs::remove_file(&path).unwrap();
        file.looked = None;
        assert_eq!(file.refresh(), Faults::default());
    }
}
