//! The session set-up: Open Session and RAKP messages 1 to 4 (§13.17–13.24) and the codes that bind them together.

use crate::crypto::{Keys, Suite};
use crate::error::{DecodeError, Reader};

/// Privilege levels (§6.8), lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// May read.
    User,
    /// May also switch power.
    Operator,
    /// May also change the BMC.
    Administrator,
}

impl Privilege {
    /// The level's number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::User => 2,
            Self::Operator => 3,
            Self::Administrator => 4,
        }
    }

    /// The level with that number.
    pub fn from_code(code: u8) -> Option<Self> {
        match code & 0x0f {
            2 => Some(Self::User),
            3 => Some(Self::Operator),
            4 => Some(Self::Administrator),
            _ => None,
        }
    }
}

/// "Look the user up by name only", in the role byte of RAKP 1. Without it some BMCs want name *and* maximal level to fit.
pub const NAME_ONLY_LOOKUP: u8 = 0x10;

/// RMCP+ and RAKP status codes (table 13-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    /// No error.
    pub const OK: Self = Self(0x00);
    /// No room for another session.
    pub const NO_RESOURCES: Self = Self(0x01);
    /// Session id unknown.
    pub const INVALID_SESSION: Self = Self(0x02);
    /// Role not allowed for this user.
    pub const UNAUTHORIZED_ROLE: Self = Self(0x0a);
    /// No such user.
    pub const UNAUTHORIZED_NAME: Self = Self(0x0d);
    /// A code did not fit: the two sides hold different secrets.
    pub const INVALID_INTEGRITY: Self = Self(0x0f);
    /// None of the offered algorithms is spoken.
    pub const NO_SUITE: Self = Self(0x11);
    /// Something in the message was not understood.
    pub const ILLEGAL_PARAMETER: Self = Self(0x12);

    /// The BMC does not speak the offered algorithms, in any of the ways BMCs say so.
    pub fn means_no_suite(self) -> bool {
        matches!(self.0, 0x04..=0x07 | 0x10..=0x12)
    }

    /// All session slots are taken.
    pub fn means_full(self) -> bool {
        matches!(self.0, 0x01 | 0x0b)
    }

    /// Name, password, key or level was refused.
    pub fn means_refused(self) -> bool {
        matches!(self.0, 0x09 | 0x0a | 0x0c | 0x0d | 0x0f)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self.0 {
            0x00 => "no error",
            0x01 => "no free session",
            0x02 => "invalid session id",
            0x03 => "invalid payload type",
            0x04 => "invalid authentication algorithm",
            0x05 => "invalid integrity algorithm",
            0x06 => "no matching authentication payload",
            0x07 => "no matching integrity payload",
            0x08 => "inactive session id",
            0x09 => "invalid role",
            0x0a => "role not allowed for this user",
            0x0b => "no free session at this role",
            0x0c => "invalid name length",
            0x0d => "unknown user",
            0x0e => "unauthorized GUID",
            0x0f => "wrong password or key",
            0x10 => "invalid confidentiality algorithm",
            0x11 => "cipher suite not supported",
            0x12 => "illegal parameter",
            other => return write!(f, "status {other:#04x}"),
        };
        f.write_str(text)
    }
}

/// RMCP+ Open Session Request (§13.17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// Tag that comes back in the answer.
    pub tag: u8,
    /// Highest level wanted; 0 leaves it to the BMC.
    pub privilege: u8,
    /// The console's session id.
    pub console_id: u32,
    /// Algorithms for authentication, integrity, confidentiality.
    pub algorithms: [u8; 3],
}

/// RMCP+ Open Session Response (§13.18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenResponse {
    /// Tag of the request.
    pub tag: u8,
    /// Outcome.
    pub status: Status,
    /// Highest level the BMC grants.
    pub privilege: u8,
    /// The console's session id.
    pub console_id: u32,
    /// The BMC's session id and the chosen algorithms; absent when refused.
    pub granted: Option<(u32, [u8; 3])>,
}

fn put_algorithms(out: &mut Vec<u8>, algorithms: [u8; 3]) {
    for (kind, algorithm) in (0u8..).zip(algorithms) {
        out.extend([kind, 0, 0, 8, algorithm, 0, 0, 0]);
    }
}

fn get_algorithms(reader: &mut Reader<'_>) -> Result<[u8; 3], DecodeError> {
    let mut algorithms = [0; 3];
    for (kind, slot) in (0u8..).zip(&mut algorithms) {
        let record: [u8; 8] = reader.array()?;
        if record[0] != kind {
            return Err(DecodeError::Value { what: "algorithm record", value: record[0].into() });
        }
        *slot = record[4] & 0x3f;
    }
    Ok(algorithms)
}

impl OpenRequest {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.tag, self.privilege, 0, 0];
        out.extend(self.console_id.to_le_bytes());
        put_algorithms(&mut out, self.algorithms);
        out
    }

    /// Reads the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("Open Session Request", bytes);
        let [tag, privilege, _, _] = reader.array()?;
        let console_id = reader.u32()?;
        let algorithms = get_algorithms(&mut reader)?;
        Ok(Self { tag, privilege: privilege & 0x0f, console_id, algorithms })
    }
}

impl OpenResponse {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.tag, self.status.0, self.privilege, 0];
        out.extend(self.console_id.to_le_bytes());
        if let Some((bmc_id, algorithms)) = self.granted {
            out.extend(bmc_id.to_le_bytes());
            put_algorithms(&mut out, algorithms);
        }
        out
    }

    /// Reads the payload. A refusal may be as short as tag and status.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("Open Session Response", bytes);
        let tag = reader.u8()?;
        let status = Status(reader.u8()?);
        if status != Status::OK {
            let console_id = reader.take(2).and_then(|_| reader.u32()).unwrap_or(0);
            return Ok(Self { tag, status, privilege: 0, console_id, granted: None });
        }
        let privilege = reader.u8()? & 0x0f;
        reader.u8()?;
        let console_id = reader.u32()?;
        let bmc_id = reader.u32()?;
        let algorithms = get_algorithms(&mut reader)?;
        Ok(Self { tag, status, privilege, console_id, granted: Some((bmc_id, algorithms)) })
    }
}

/// RAKP Message 1 (§13.20): the console's random number and the user's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rakp1 {
    /// Tag that comes back in the answer.
    pub tag: u8,
    /// The BMC's session id.
    pub bmc_id: u32,
    /// The console's random number.
    pub console_random: [u8; 16],
    /// Wanted level, with [`NAME_ONLY_LOOKUP`].
    pub role: u8,
    /// User name, at most 16 bytes.
    pub name: Vec<u8>,
}

impl Rakp1 {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.tag, 0, 0, 0];
        out.extend(self.bmc_id.to_le_bytes());
        out.extend(self.console_random);
        out.extend([self.role, 0, 0, self.name.len() as u8]);
        out.extend(&self.name);
        out
    }

    /// Reads the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RAKP 1", bytes);
        let tag = reader.u8()?;
        reader.take(3)?;
        let bmc_id = reader.u32()?;
        let console_random = reader.array()?;
        let [role, _, _, length] = reader.array()?;
        if length > 16 {
            return Err(DecodeError::Value { what: "user name length", value: length.into() });
        }
        let name = reader.take(length.into())?.to_vec();
        Ok(Self { tag, bmc_id, console_random, role, name })
    }
}

/// RAKP Message 2 (§13.21): the BMC's random number, GUID and proof that it knows the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rakp2 {
    /// Tag of the request.
    pub tag: u8,
    /// Outcome; with an error the other fields are empty.
    pub status: Status,
    /// The console's session id.
    pub console_id: u32,
    /// The BMC's random number.
    pub bmc_random: [u8; 16],
    /// The BMC's GUID.
    pub guid: [u8; 16],
    /// Key exchange authentication code.
    pub code: Vec<u8>,
}

impl Rakp2 {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.tag, self.status.0, 0, 0];
        out.extend(self.console_id.to_le_bytes());
        if self.status == Status::OK {
            out.extend(self.bmc_random);
            out.extend(self.guid);
            out.extend(&self.code);
        }
        out
    }

    /// Reads the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RAKP 2", bytes);
        let [tag, status, _, _] = reader.array()?;
        let status = Status(status);
        let console_id = reader.u32()?;
        let (mut bmc_random, mut guid) = ([0; 16], [0; 16]);
        if status == Status::OK {
            bmc_random = reader.array()?;
            guid = reader.array()?;
        }
        Ok(Self { tag, status, console_id, bmc_random, guid, code: reader.rest().to_vec() })
    }
}

/// RAKP Message 3 (§13.22) and, with the same shape, RAKP Message 4 (§13.23).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RakpProof {
    /// Tag.
    pub tag: u8,
    /// Outcome as the sender sees it.
    pub status: Status,
    /// The receiver's session id.
    pub session_id: u32,
    /// RAKP 3: key exchange authentication code. RAKP 4: truncated integrity check value.
    pub code: Vec<u8>,
}

impl RakpProof {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.tag, self.status.0, 0, 0];
        out.extend(self.session_id.to_le_bytes());
        if self.status == Status::OK {
            out.extend(&self.code);
        }
        out
    }

    /// Reads the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RAKP 3 or 4", bytes);
        let [tag, status, _, _] = reader.array()?;
        let session_id = reader.u32()?;
        Ok(Self { tag, status: Status(status), session_id, code: reader.rest().to_vec() })
    }
}

/// Everything both sides know after RAKP 1 and 2, from which all codes and keys follow (§13.20–13.23, §13.31).
#[derive(Debug, Clone)]
pub struct Exchange<'a> {
    /// The cipher suite.
    pub suite: Suite,
    /// The console's session id.
    pub console_id: u32,
    /// The BMC's session id.
    pub bmc_id: u32,
    /// The console's random number.
    pub console_random: [u8; 16],
    /// The BMC's random number.
    pub bmc_random: [u8; 16],
    /// The BMC's GUID.
    pub guid: [u8; 16],
    /// The role byte of RAKP 1 as sent.
    pub role: u8,
    /// The user's name as sent.
    pub name: &'a [u8],
}

impl Exchange<'_> {
    fn role_and_name(&self) -> Vec<u8> {
        [&[self.role, self.name.len() as u8], self.name].concat()
    }

    /// The code of RAKP 2, made with the user's password.
    pub fn rakp2_code(&self, password: &[u8]) -> Vec<u8> {
        let ids = [self.console_id.to_le_bytes(), self.bmc_id.to_le_bytes()].concat();
        let parts =
            [&ids, self.console_random.as_slice(), &self.bmc_random, &self.guid, &self.role_and_name()];
        self.suite.mac(password, &parts)
    }

    /// The code of RAKP 3, made with the user's password.
    pub fn rakp3_code(&self, password: &[u8]) -> Vec<u8> {
        self.suite.mac(password, &[&self.bmc_random, &self.console_id.to_le_bytes(), &self.role_and_name()])
    }

    /// The session integrity key, made with K_g, or with the password where no K_g is set.
    pub fn session_key(&self, key: &[u8]) -> Vec<u8> {
        self.suite.mac(key, &[&self.console_random, &self.bmc_random, &self.role_and_name()])
    }

    /// The check value of RAKP 4.
    pub fn rakp4_code(&self, sik: &[u8]) -> Vec<u8> {
        let parts = [self.console_random.as_slice(), &self.bmc_id.to_le_bytes(), &self.guid];
        let mut code = self.suite.mac(sik, &parts);
        code.truncate(self.suite.code_len());
        code
    }

    /// The packet keys.
    pub fn keys(&self, sik: &[u8]) -> Keys {
        Keys::derive(self.suite, sik)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_session_request_has_the_specified_bytes() {
        let request = OpenRequest {
            tag: 7,
            privilege: 0,
            console_id: 0x01020304,
            algorithms: Suite::Seventeen.algorithms(),
        };
        let bytes = request.encode();
        assert_eq!(
            bytes,
            [7, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 8, 1, 0, 0, 0]
        );
        assert_eq!(OpenRequest::decode(&bytes).unwrap(), request);
    }

    #[test]
    fn a_refusal_of_two_bytes_is_still_a_refusal() {
        let response = OpenResponse::decode(&[9, 0x11]).unwrap();
        assert_eq!((response.tag, response.status, response.granted), (9, Status::NO_SUITE, None));
    }

    #[test]
    fn messages_survive_the_round_trip() {
        let one = Rakp1 { tag: 1, bmc_id: 5, console_random: [4; 16], role: 0x14, name: b"admin".to_vec() };
        assert_eq!(Rakp1::decode(&one.encode()).unwrap(), one);
        let two = Rakp2 {
            tag: 1,
            status: Status::OK,
            console_id: 4,
            bmc_random: [1; 16],
            guid: [2; 16],
            code: vec![3; 20],
        };
        assert_eq!(Rakp2::decode(&two.encode()).unwrap(), two);
        let three = RakpProof { tag: 2, status: Status::OK, session_id: 3, code: vec![1; 12] };
        assert_eq!(RakpProof::decode(&three.encode()).unwrap(), three);
    }

    #[test]
    fn a_user_name_longer_than_sixteen_bytes_is_refused() {
        let mut bytes =
            Rakp1 { tag: 1, bmc_id: 5, console_random: [4; 16], role: 0x14, name: vec![b'a'; 16] }.encode();
        bytes[27] = 17;
        bytes.push(b'a');
        assert!(Rakp1::decode(&bytes).is_err());
    }
}
