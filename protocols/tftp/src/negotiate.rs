//! Options (RFC 2347): what was asked, what is granted.

use crate::packet::{Request, oack};
use std::time::Duration;

const BLKSIZE_DEFAULT: u16 = 512;
const BLKSIZE_MIN: u64 = 8;
const BLKSIZE_MAX: u64 = 65464;

/// The most this server grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a block; 1468 fits an Ethernet frame, a longer one would be sent in fragments that firmware loses.
    pub blksize: u16,
    /// Blocks sent without an acknowledgement.
    pub windowsize: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { blksize: 1468, windowsize: 32 }
    }
}

/// How a transfer is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bytes in a block.
    pub blksize: u16,
    /// Blocks sent without an acknowledgement.
    pub windowsize: u16,
    /// Time between repeats, when the client named one.
    pub timeout: Option<Duration>,
}

/// The settings for a request for a file of `size` bytes, and the OACK to begin with, if any option was
/// granted. Options that are unknown, out of range or repeated are ignored.
pub(crate) fn negotiate(request: &Request, size: u64, limits: Limits) -> (Settings, Option<Vec<u8>>) {
    let mut settings = Settings { blksize: BLKSIZE_DEFAULT, windowsize: 1, timeout: None };
    let mut granted: Vec<(&str, u64)> = Vec::new();
    for (name, value) in &request.options {
        let Ok(value) = value.parse::<u64>() else { continue };
        if granted.iter().any(|(given, _)| given == name) {
            continue;
        }
        match (name.as_str(), value) {
            ("blksize", BLKSIZE_MIN..=BLKSIZE_MAX) => {
                settings.blksize = u16::try_from(value).unwrap_or(u16::MAX).min(limits.blksize);
                granted.push(("blksize", settings.blksize.into()));
            }
            ("windowsize", 1..=65535) => {
                settings.windowsize = u16::try_from(value).unwrap_or(u16::MAX).min(limits.windowsize).max(1);
                granted.push(("windowsize", settings.windowsize.into()));
            }
            ("timeout", 1..=255) => {
                settings.timeout = Some(Duration::from_secs(value));
                granted.push(("timeout", value));
            }
            ("tsize", _) => granted.push(("tsize", size)),
            _ => {}
        }
    }
    let oack = (!granted.is_empty()).then(|| oack(&granted));
    (settings, oack)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Mode;

    fn ask(options: &[(&str, &str)]) -> (Settings, Option<Vec<u8>>) {
        let options = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let request = Request { file: "f".to_owned(), mode: Mode::Octet, options };
        negotiate(&request, 1000, Limits::default())
    }

    #[test]
    fn without_options_it_is_plain_tftp() {
        assert_eq!(ask(&[]), (Settings { blksize: 512, windowsize: 1, timeout: None }, None));
    }

    #[test]
    fn what_is_asked_is_granted_up_to_the_limits() {
        let (settings, oack) =
            ask(&[("tsize", "0"), ("blksize", "8192"), ("windowsize", "100"), ("timeout", "3")]);
        let three = Some(Duration::from_secs(3));
        assert_eq!(settings, Settings { blksize: 1468, windowsize: 32, timeout: three });
        assert_eq!(oack.unwrap(), b"\0\x06tsize\01000\0blksize\01468\0windowsize\032\0timeout\03\0");
    }

    #[test]
    fn nonsense_is_ignored() {
        let nonsense =
            [("blksize", "7"), ("blksize", "x"), ("blksize", "65465"), ("windowsize", "0"), ("timeout", "0")];
        assert_eq!(ask(&nonsense).1, None);
        assert_eq!(ask(&[("timeout", "256"), ("multicast", ""), ("rollover", "0"), ("tsize", "-1")]).1, None);
        let (settings, oack) = ask(&[("blksize", "1024"), ("blksize", "512")]);
        assert_eq!(settings.blksize, 1024);
        assert_eq!(oack.unwrap(), b"\0\x06blksize\01024\0");
    }
}
