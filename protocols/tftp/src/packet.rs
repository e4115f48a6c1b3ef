//! The wire format (RFC 1350 section 5, RFC 2347).

/// Error codes (RFC 1350 appendix, RFC 2347 section 3).
pub mod code {
    /// See the message.
    pub const OTHER: u16 = 0;
    /// There is no such file.
    pub const NOT_FOUND: u16 = 1;
    /// Not allowed.
    pub const ACCESS: u16 = 2;
    /// Not an operation of TFTP.
    pub const ILLEGAL: u16 = 4;
}

const RRQ: u16 = 1;
const WRQ: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;
const OPTIONS_MAX: usize = 32;

/// How the file is to be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Byte for byte.
    Octet,
    /// Text lines end with CR LF (see [`crate::to_netascii`]).
    Netascii,
}

/// A request to read a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The name as sent; bytes that are not UTF-8 are replaced.
    pub file: String,
    /// The mode.
    pub mode: Mode,
    /// Option names in lower case, and values, in the order sent.
    pub options: Vec<(String, String)>,
}

/// Why a datagram at the server's port starts no transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A write; this server only reads.
    #[error("writing is not allowed")]
    Write,
    /// Names a mode that is neither octet nor netascii.
    #[error("the mode is neither octet nor netascii")]
    Mode,
    /// Not a request; best left unanswered.
    #[error("not a request")]
    NotARequest,
}

impl RequestError {
    /// The datagram to answer with, if it deserves one.
    pub fn reply(self) -> Option<Vec<u8>> {
        match self {
            Self::Write => Some(error(code::ACCESS, &self.to_string())),
            Self::Mode => Some(error(code::ILLEGAL, &self.to_string())),
            Self::NotARequest => None,
        }
    }
}

impl Request {
    /// Reads a datagram. An option that is cut off is left out, because ROMs pad and truncate.
    pub fn decode(datagram: &[u8]) -> Result<Self, RequestError> {
        let (opcode, body) = split_u16(datagram).ok_or(RequestError::NotARequest)?;
        match opcode {
            RRQ => {}
            WRQ => return Err(RequestError::Write),
            _ => return Err(RequestError::NotARequest),
        }
        let mut strings = Strings(body);
        let file = strings.next().filter(|f| !f.is_empty()).ok_or(RequestError::NotARequest)?;
        let mode = match strings.next().ok_or(RequestError::NotARequest)?.to_ascii_lowercase().as_str() {
            "octet" => Mode::Octet,
            "netascii" => Mode::Netascii,
            _ => return Err(RequestError::Mode),
        };
        let mut options = Vec::new();
        while options.len() < OPTIONS_MAX {
            match (strings.next(), strings.next()) {
                (Some(name), Some(value)) if !name.is_empty() => {
                    options.push((name.to_ascii_lowercase(), value));
                }
                _ => break,
            }
        }
        Ok(Self { file, mode, options })
    }
}

/// Strings that end with NUL.
struct Strings<'a>(&'a [u8]);

impl Strings<'_> {
    fn next(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&b| b == 0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

/// What a client sends within a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Everything up to this block has arrived (modulo 65536).
    Ack(u16),
    /// The client gives up.
    Error {
        /// Its code.
        code: u16,
        /// Its words; bytes that are not UTF-8 are replaced.
        message: String,
    },
}

impl Packet {
    /// Reads a datagram; `None` for anything a client does not send within a transfer.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let (opcode, body) = split_u16(datagram)?;
        let (number, rest) = split_u16(body)?;
        match opcode {
            ACK => Some(Self::Ack(number)),
            ERROR => {
                let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
                let text = rest.get(..end).unwrap_or_default();
                Some(Self::Error { code: number, message: String::from_utf8_lossy(text).into_owned() })
            }
            _ => None,
        }
    }
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*head), rest))
}

/// A DATA datagram with room for `content`, which the caller appends.
pub fn data(block: u16, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + content.len());
    out.extend(DATA.to_be_bytes());
    out.extend(block.to_be_bytes());
    out.extend(content);
    out
}

/// An ERROR datagram.
pub fn error(code: u16, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + message.len());
    out.extend(ERROR.to_be_bytes());
    out.extend(code.to_be_bytes());
    out.extend(message.bytes().filter(|&b| b != 0));
    out.push(0);
    out
}

/// An OACK datagram.
pub(crate) fn oack(options: &[(&str, u64)]) -> Vec<u8> {
    let mut out = OACK.to_be_bytes().to_vec();
    for (name, value) in options {
        out.extend(name.bytes());
        out.push(0);
        out.extend(value.to_string().bytes());
        out.push(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_ovmf_is_read() {
        let request =
            Request::decode(b"\0\x01snponly.efi\0octet\0tsize\00\0BLKSIZE\01468\0windowsize\04\0").unwrap();
        assert_eq!(request.file, "snponly.efi");
        assert_eq!(request.mode, Mode::Octet);
        let options: Vec<(&str, &str)> =
            request.options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(options, [("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")]);
    }

    #[test]
    fn padding_and_a_cut_off_option_cost_nothing_else() {
        let request = Request::decode(b"\0\x01a\0NetASCII\0tsize\00\0\0\0\0\0").unwrap();
        assert_eq!((request.mode, request.options.len()), (Mode::Netascii, 1));
        let request = Request::decode(b"\0\x01a\0octet\0tsize\00\0blksize\01").unwrap();
        assert_eq!(request.options.len(), 1);
    }

    #[test]
    fn other_datagrams_are_refused_in_the_words_of_the_rfc() {
        let refused = Request::decode(b"\0\x02a\0octet\0").unwrap_err();
        assert_eq!(refused.reply().unwrap(), b"\0\x05\0\x02writing is not allowed\0");
        assert_eq!(Request::decode(b"\0\x01a\0mail\0"), Err(RequestError::Mode));
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\x01",
            b"\0\x01a",
            b"\0\x01a\0",
            b"\0\x01a\0octet",
            b"\0\x01\0octet\0",
            b"\0\x03\0\x01x",
        ] {
            assert_eq!(Request::decode(bytes), Err(RequestError::NotARequest), "{bytes:?}");
        }
        assert_eq!(RequestError::NotARequest.reply(), None);
    }

    #[test]
    fn packets_within_a_transfer() {
        assert_eq!(Packet::decode(b"\0\x04\xff\xff"), Some(Packet::Ack(65535)));
        let error = Packet::Error { code: 8, message: "User aborted".to_owned() };
        assert_eq!(Packet::decode(b"\0\x05\0\x08User aborted\0"), Some(error));
        let bare = Packet::Error { code: 0, message: String::new() };
        assert_eq!(Packet::decode(b"\0\x05\0\0"), Some(bare));
        for bytes in [&b""[..], b"\0\x04", b"\0\x04\0", b"\0\x03\0\x01", b"\xff\xff\xff\xff"] {
            assert_eq!(Packet::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_sent() {
        assert_eq!(data(1, b"xy"), b"\0\x03\0\x01xy");
        assert_eq!(error(code::NOT_FOUND, "no such file"), b"\0\x05\0\x01no such file\0");
        assert_eq!(oack(&[("tsize", 70000), ("blksize", 512)]), b"\0\x06tsize\070000\0blksize\0512\0");
    }
}
