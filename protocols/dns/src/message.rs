//! Messages on the wire (RFC 1035 section 4): queries are read, answers written.

use crate::name::{MAX, Name};
use crate::record::RecordType;

/// What goes by UDP without being cut into pieces on any path (RFC 9715, section 3).
pub const MAX_UDP: usize = 1232;
/// Length of a message's header.
pub(crate) const HEADER: usize = 12;
/// Where the question begins.
const QUESTION: usize = HEADER;

/// Bits of the header's second word.
pub mod flag {
    /// A response.
    pub const QR: u16 = 0x8000;
    /// From the authority.
    pub const AA: u16 = 0x0400;
    /// Cut; ask again by TCP.
    pub const TC: u16 = 0x0200;
    /// Recursion is wished for.
    pub const RD: u16 = 0x0100;
    /// Recursion is to be had.
    pub const RA: u16 = 0x0080;
    /// Data was checked (RFC 4035).
    pub const AD: u16 = 0x0020;
    /// Checking is not wished for (RFC 4035).
    pub const CD: u16 = 0x0010;
}

/// Codes of responses.
pub mod rcode {
    /// All is well.
    pub const NO_ERROR: u16 = 0;
    /// The query cannot be read.
    pub const FORMAT: u16 = 1;
    /// The server cannot answer now.
    pub const SERVER_FAILURE: u16 = 2;
    /// There is no such name.
    pub const NO_SUCH_NAME: u16 = 3;
    /// This server does not do that.
    pub const NOT_IMPLEMENTED: u16 = 4;
    /// This server does not do that for you.
    pub const REFUSED: u16 = 5;
    /// Not the authority, or the signature is not right (RFC 8945).
    pub const NOT_AUTHORITY: u16 = 9;
    /// A version of EDNS that nobody knows (RFC 6891); 4 bits of it go into OPT.
    pub const BAD_VERSION: u16 = 16;
}

/// Kinds of queries.
pub mod opcode {
    /// An ordinary one.
    pub const QUERY: u8 = 0;
    /// A zone has changed (RFC 1996).
    pub const NOTIFY: u8 = 4;
}

/// Classes.
pub mod class {
    /// The Internet.
    pub const IN: u16 = 1;
}

/// The bytes are no query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a DNS query")]
pub struct Malformed;

/// What the asker can take (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// Longest UDP answer, bytes.
    pub size: u16,
    /// Version.
    pub version: u8,
    /// Wants signatures.
    pub dnssec: bool,
}

/// A query with one question.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Number, echoed.
    pub id: u16,
    /// The second word of the header.
    pub flags: u16,
    /// The name in wire form, in the case of the asker.
    asked: &'a [u8],
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub kind: RecordType,
    /// The class asked for.
    pub class: u16,
    /// EDNS, if spoken.
    pub edns: Option<Edns>,
    /// Serial that the asker of an incremental transfer has.
    pub serial: Option<u32>,
    /// Where the signature (TSIG) begins in the message, when its last record is one.
    pub signature: Option<usize>,
}

impl<'a> Query<'a> {
    /// Reads a query. What is no query at all, or a response, is [`Malformed`] and deserves silence; one that can be told
    /// so gets [`rcode::FORMAT`] by [`crate::refusal`].
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let word =
            |at: usize| message.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or(Malformed);
        let (id, flags) = (word(0)?, word(2)?);
        let counts = [word(6)?, word(8)?, word(10)?];
        if word(4)? != 1 || flags & flag::QR != 0 {
            return Err(Malformed);
        }
        // A question comes first, so its name has nothing to point to.
        let end = plain_name(message, QUESTION).ok_or(Malformed)?;
        let asked = message.get(QUESTION..end).ok_or(Malformed)?;
        let mut query = Self {
            id,
            flags,
            asked,
            name: Name::from_wire(asked),
            kind: RecordType(word(end)?),
            class: word(end + 2)?,
            edns: None,
            serial: None,
            signature: None,
        };
        query.read_records(message, end + 4, counts)?;
        Ok(query)
    }

    fn read_records(&mut self, message: &[u8], mut at: usize, counts: [u16; 3]) -> Result<(), Malformed> {
        let total = counts.iter().map(|c| usize::from(*c)).sum::<usize>();
        for number in 0..total {
            let start = at;
            let record = Record::read(message, at).ok_or(Malformed)?;
            at = record.end;
            // A signature is the last record, nothing comes after it.
            if self.signature.is_some() {
                return Err(Malformed);
            }
            match record.kind {
                RecordType::OPT if self.edns.is_none() => {
                    let [_, version, high, _] = record.ttl.to_be_bytes();
                    let size = record.class.max(512);
                    self.edns = Some(Edns { size, version, dnssec: high & 0x80 != 0 });
                }
                RecordType::OPT => return Err(Malformed),
                RecordType::TSIG if number + 1 == total => self.signature = Some(start),
                RecordType::TSIG => return Err(Malformed),
                RecordType::SOA if self.kind == RecordType::IXFR => {
                    // Serial, refresh, retry, expire, minimum are the last 20 bytes.
                    let at = record.data.end.checked_sub(20).filter(|at| *at >= record.data.start);
                    let bytes = at.and_then(|at| message.get(at..at + 4)).ok_or(Malformed)?;
                    self.serial = Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What kind of query.
    pub fn opcode(&self) -> u8 {
        u8::try_from(self.flags >> 11 & 15).unwrap_or(0)
    }

    /// Whether the asker wants to be answered in full.
    pub fn wants_recursion(&self) -> bool {
        self.flags & flag::RD != 0
    }

    /// The longest answer that goes by UDP.
    pub fn udp_limit(&self) -> usize {
        self.edns.map_or(512, |edns| usize::from(edns.size).clamp(512, MAX_UDP))
    }

    /// The name in wire form, in the case of the asker.
    pub fn asked(&self) -> &[u8] {
        self.asked
    }
}

/// Where a name without pointers ends.
fn plain_name(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let length = usize::from(*message.get(at)?);
        if length > 63 {
            return None;
        }
        at += 1 + length;
        if at - start > MAX || at > message.len() {
            return None;
        }
        if length == 0 {
            return Some(at);
        }
    }
}

/// Reads a name that may have pointers (RFC 1035 section 4.1.4), each of which goes backwards; and where it ends.
pub(crate) fn read_name(message: &[u8], start: usize) -> Option<(Name, usize)> {
    let mut wire = Vec::with_capacity(64);
    let (mut at, mut end, mut floor) = (start, None, start);
    loop {
        let length = usize::from(*message.get(at)?);
        match length >> 6 {
            0 => {
                wire.extend_from_slice(message.get(at..at + 1 + length)?);
                if wire.len() > MAX {
                    return None;
                }
                at += 1 + length;
                if length == 0 {
                    return Some((Name::from_wire(&wire), end.unwrap_or(at)));
                }
            }
            3 => {
                let to = (length & 63) << 8 | usize::from(*message.get(at + 1)?);
                end = end.or(Some(at + 2));
                if to >= floor {
                    return None;
                }
                (at, floor) = (to, to);
            }
            _ => return None,
        }
    }
}

/// A record in a message.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) name: Name,
    pub(crate) kind: RecordType,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: std::ops::Range<usize>,
    pub(crate) end: usize,
}

impl Record {
    pub(crate) fn read(message: &[u8], at: usize) -> Option<Self> {
        let (name, at) = read_name(message, at)?;
        let head: &[u8; 10] = message.get(at..at + 10)?.try_into().ok()?;
        let [k0, k1, c0, c1, t0, t1, t2, t3, l0, l1] = *head;
        let start = at + 10;
        let end = start + usize::from(u16::from_be_bytes([l0, l1]));
        message.get(start..end)?;
        Some(Self {
            name,
            kind: RecordType(u16::from_be_bytes([k0, k1])),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([t0, t1, t2, t3]),
            data: start..end,
            end,
        })
    }
}

/// In which part of a message a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// Writes a message. Names are shortened against the question's, which is where nearly all of them end.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut Vec<u8>,
    limit: usize,
    counts: [u16; 4],
    flags: u16,
    code: u16,
    /// Length of the question's name on the wire; 0 without question.
    question: usize,
    full: bool,
}

impl<'b> Writer<'b> {
    /// Begins the response to a query. Room for EDNS is kept free.
    pub fn respond(query: &Query<'_>, buffer: &'b mut Vec<u8>, limit: usize) -> Self {
        let keep = flag::RD | flag::CD | 0x7800;
        let mut writer = Self::begin(buffer, query.id, flag::QR | query.flags & keep, limit);
        if query.edns.is_some() {
            writer.limit = writer.limit.saturating_sub(11);
        }
        writer.ask(query.asked, query.kind, query.class);
        writer
    }

    /// Begins a message without anything in it.
    pub fn begin(buffer: &'b mut Vec<u8>, id: u16, flags: u16, limit: usize) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&id.to_be_bytes());
        buffer.extend_from_slice(&[0; 10]);
        Self { buffer, limit, counts: [0; 4], flags, code: 0, question: 0, full: false }
    }

    /// Adds the question; first of all.
    pub fn ask(&mut self, name: &[u8], kind: RecordType, class: u16) {
        self.question = name.len();
        self.counts[0] = 1;
        self.buffer.extend_from_slice(name);
        self.buffer.extend_from_slice(&kind.0.to_be_bytes());
        self.buffer.extend_from_slice(&class.to_be_bytes());
    }

    /// Sets bits of [`flag`].
    pub fn set(&mut self, flags: u16) {
        self.flags |= flags;
    }

    /// Sets the code.
    pub fn code(&mut self, code: u16) {
        self.code = code;
    }

    /// Whether something did not fit.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Adds a record, if it fits; false when it does not.
    pub(crate) fn record(
        &mut self,
        section: Section,
        name: &[u8],
        kind: RecordType,
        ttl: u32,
        data: &[u8],
    ) -> bool {
        let start = self.buffer.len();
        self.name(name);
        self.buffer.extend_from_slice(&kind.0.to_be_bytes());
        self.buffer.extend_from_slice(&class::IN.to_be_bytes());
        self.buffer.extend_from_slice(&ttl.to_be_bytes());
        self.buffer.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        self.buffer.extend_from_slice(data);
        if self.buffer.len() > self.limit || data.len() > usize::from(u16::MAX) {
            self.buffer.truncate(start);
            self.full |= section != Section::Additional;
            return false;
        }
        let count = match section {
            Section::Answer => &mut self.counts[1],
            Section::Authority => &mut self.counts[2],
            Section::Additional => &mut self.counts[3],
        };
        *count = count.saturating_add(1);
        true
    }

    /// Bytes that are free.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.buffer.len())
    }

    /// Adds a record to a message that may grow for it, as long as it is one.
    pub(crate) fn record_alone(&mut self, name: &[u8], kind: RecordType, ttl: u32, data: &[u8]) {
        let limit = std::mem::replace(&mut self.limit, usize::from(u16::MAX));
        self.record(Section::Answer, name, kind, ttl, data);
        self.limit = limit;
    }

    /// A name: labels until the rest of it is an end of the question's name, then a pointer there.
    fn name(&mut self, name: &[u8]) {
        let question = QUESTION..QUESTION + self.question;
        let mut rest = name;
        loop {
            let tail = question.end.saturating_sub(rest.len());
            if rest.len() > 1
                && tail >= question.start
                && self.buffer.get(tail..question.end).is_some_and(|end| end.eq_ignore_ascii_case(rest))
                && self.is_label(tail)
            {
                let pointer = 0xc000 | u16::try_from(tail).unwrap_or(0);
                self.buffer.extend_from_slice(&pointer.to_be_bytes());
                return;
            }
            let length = usize::from(rest.first().copied().unwrap_or(0));
            let (label, next) = rest.split_at((1 + length).min(rest.len()));
            self.buffer.extend_from_slice(label);
            if length == 0 {
                return;
            }
            rest = next;
        }
    }

    /// Whether a label of the question begins here.
    fn is_label(&self, wanted: usize) -> bool {
        let mut at = QUESTION;
        while at < wanted {
            at += 1 + usize::from(self.buffer[at]);
        }
        at == wanted
    }

    /// Drops all records and says that there was more: to be asked for by TCP.
    pub fn cut(&mut self) {
        self.buffer.truncate(if self.question == 0 { HEADER } else { QUESTION + self.question + 4 });
        self.counts = [self.counts[0], 0, 0, 0];
        self.flags |= flag::TC;
    }

    /// Writes EDNS when the query spoke it, and the header. What did not fit is cut off whole.
    pub fn finish(mut self, edns: Option<Edns>) {
        if self.full {
            self.cut();
        }
        if let Some(edns) = edns {
            let high = u8::try_from(self.code >> 4).unwrap_or(0);
            let size = u16::try_from(MAX_UDP).unwrap_or(512).to_be_bytes();
            let bits = if edns.dnssec { 0x80 } else { 0 };
            self.buffer.extend_from_slice(&[0, 0, 41, size[0], size[1], high, 0, bits, 0, 0, 0]);
            self.counts[3] = self.counts[3].saturating_add(1);
        }
        let flags = self.flags | self.code & 15;
        self.buffer[2..4].copy_from_slice(&flags.to_be_bytes());
        for (number, count) in self.counts.iter().enumerate() {
            self.buffer[4 + 2 * number..6 + 2 * number].copy_from_slice(&count.to_be_bytes());
        }
    }
}
