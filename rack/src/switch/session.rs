//! Questions to one SNMP agent: repeated when nothing comes back, walked in bulk, and in owned values.

use rackwright_common::switch::{SnmpAccess, SnmpAuthentication, SnmpPrivacy, SwitchEndpoint, SwitchError};
use snmp2::v3::{Auth, AuthProtocol, Cipher, Security};
use snmp2::{AsyncSession, Error, Oid, Value};
use std::time::Duration;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a question is asked.
const TRIES: usize = 3;
/// Rows of one answer, and of a whole walk. A switch with more MACs than that is read in part.
const BULK: u32 = 24;
const ROWS: usize = 20_000;

/// A value, as far as switches use them here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Cell {
    pub(super) fn number(&self) -> Option<u64> {
        if let Self::Number(n) = self { Some(*n) } else { None }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if let Self::Bytes(b) = self { b } else { &[] }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).chars().filter(|c| !c.is_control()).take(255).collect()
    }
}

/// What is set.
#[derive(Debug, Clone)]
pub(super) enum New {
    /// Gauge32, Unsigned32.
    Unsigned(u32),
    /// OCTET STRING.
    Bytes(Vec<u8>),
}

/// A row of a table: what stands behind the column's identifier, and the value.
pub(super) type Row = (Vec<u64>, Cell);

/// See the module.
pub(super) struct Session {
    inner: AsyncSession,
}

impl Session {
    pub(super) async fn open(endpoint: &SwitchEndpoint) -> Result<Self, SwitchError> {
        let address = (endpoint.address.as_str(), endpoint.port);
        let first = i32::from(rand::random::<u16>());
        let unreachable = |e: std::io::Error| SwitchError::Unreachable(e.to_string());
        let inner = match &endpoint.access {
            SnmpAccess::V2c { community } => {
                AsyncSession::new_v2c(address, community.expose().as_bytes(), first).await
            }
            SnmpAccess::V3 {
                username,
                authentication,
                authentication_password,
                privacy,
                privacy_password,
            } => {
                let cipher = match privacy {
                    SnmpPrivacy::Aes128 => Cipher::Aes128,
                    SnmpPrivacy::Aes256 => Cipher::Aes256,
                };
                let hash = match authentication {
                    SnmpAuthentication::Sha1 => AuthProtocol::Sha1,
                    SnmpAuthentication::Sha256 => AuthProtocol::Sha256,
                    SnmpAuthentication::Sha512 => AuthProtocol::Sha512,
                };
                let privacy_password = privacy_password.expose().as_bytes().to_vec();
                let security =
                    Security::new(username.as_bytes(), authentication_password.expose().as_bytes())
                        .with_auth_protocol(hash)
                        .with_auth(Auth::AuthPriv { cipher, privacy_password });
                AsyncSession::new_v3(address, first, security).await
            }
        };
        let mut session = Self { inner: inner.map_err(unreachable)? };
        for last in [false, false, true] {
            match tokio::time::timeout(PATIENCE, session.inner.init()).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) if last => return Err(meaning(&error)),
                Err(_) if last => return Err(SwitchError::Unreachable("no answer".into())),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Ok(session)
    }

    /// One value; none when the agent does not have it.
    pub(super) async fn get(&mut self, at: &[u64]) -> Result<Option<Cell>, SwitchError> {
        let oid = identifier(at)?;
        let mut problem = SwitchError::Unreachable("no answer".into());
        for _ in 0..TRIES {
            match tokio::time::timeout(PATIENCE, self.inner.get(&oid)).await {
                Ok(Ok(mut answer)) => return Ok(answer.varbinds.next().and_then(|(_, v)| cell(&v))),
                Ok(Err(error)) => problem = meaning(&error),
                Err(_) => {}
            }
        }
        Err(problem)
    }

    /// All rows of a column.
    pub(super) async fn walk(&mut self, column: &[u64]) -> Result<Vec<Row>, SwitchError> {
        let mut rows: Vec<Row> = Vec::new();
        let mut last = column.to_vec();
        while rows.len() < ROWS {
            let (part, ended) = self.more(column, &last).await?;
            let Some((next, _)) = part.last() else { break };
            last = [column, next].concat();
            rows.extend(part);
            if ended {
                break;
            }
        }
        Ok(rows)
    }

    /// The next rows of a column after one, and whether that was the end. An agent that does not go forward has ended.
    async fn more(&mut self, column: &[u64], last: &[u64]) -> Result<(Vec<Row>, bool), SwitchError> {
        let oid = identifier(last)?;
        let mut problem = SwitchError::Unreachable("no answer".into());
        for _ in 0..TRIES {
            let answer = match tokio::time::timeout(PATIENCE, self.inner.getbulk(&[&oid], 0, BULK)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    problem = meaning(&error);
                    continue;
                }
                Err(_) => continue,
            };
            let mut rows: Vec<Row> = Vec::new();
            let mut before = last.to_vec();
            for (name, value) in answer.varbinds {
                let Some(name) = name.iter().map(Iterator::collect::<Vec<u64>>) else {
                    return Ok((rows, true));
                };
                let ended = matches!(value, Value::EndOfMibView);
                let Some(rest) = name.strip_prefix(column).filter(|_| !ended && name > before) else {
                    return Ok((rows, true));
                };
                if let Some(cell) = cell(&value) {
                    rows.push((rest.to_vec(), cell));
                }
                before = name;
            }
            return Ok((rows, false));
        }
        Err(problem)
    }

    /// Sets values, all or none.
    pub(super) async fn set(&mut self, values: &[(Vec<u64>, New)]) -> Result<(), SwitchError> {
        let names = values.iter().map(|(at, _)| identifier(at)).collect::<Result<Vec<_>, _>>()?;
        let given: Vec<(&Oid<'_>, Value<'_>)> = names
            .iter()
            .zip(values)
            .map(|(name, (_, new))| {
                let value = match new {
                    New::Unsigned(n) => Value::Unsigned32(*n),
                    New::Bytes(bytes) => Value::OctetString(bytes),
                };
                (name, value)
            })
            .collect();
        let mut problem = SwitchError::Unreachable("no answer".into());
        for _ in 0..TRIES {
            match tokio::time::timeout(PATIENCE, self.inner.set(&given)).await {
                Ok(Ok(answer)) if answer.error_status == 0 => return Ok(()),
                Ok(Ok(answer)) => return Err(SwitchError::Refused(refusal(answer.error_status))),
                Ok(Err(error)) => problem = meaning(&error),
                Err(_) => {}
            }
        }
        Err(problem)
    }
}

fn identifier(at: &[u64]) -> Result<Oid<'static>, SwitchError> {
    Oid::from(at).map_err(|_| SwitchError::Protocol("an object identifier that cannot be".into()))
}

fn cell(value: &Value<'_>) -> Option<Cell> {
    match value {
        Value::Integer(n) => u64::try_from(*n).ok().map(Cell::Number),
        Value::Counter32(n) | Value::Unsigned32(n) | Value::Timeticks(n) => Some(Cell::Number((*n).into())),
        Value::Counter64(n) => Some(Cell::Number(*n)),
        Value::OctetString(bytes) => Some(Cell::Bytes(bytes.to_vec())),
        _ => None,
    }
}

fn meaning(error: &Error) -> SwitchError {
    match error {
        Error::AuthFailure(why) => SwitchError::Login(why.to_string()),
        Error::Send | Error::Receive => SwitchError::Unreachable("nobody listens at that port".into()),
        Error::AuthUpdated => SwitchError::Unreachable("its clock is being learned".into()),
        other => SwitchError::Protocol(other.to_string()),
    }
}

/// Error states of RFC 3416 §3, for people.
fn refusal(status: u32) -> String {
    let why = match status {
        6 | 16 => "these credentials may not change anything (noAccess)",
        7..=10 => "it does not take this value",
        17 | 4 => "it cannot be changed there (notWritable)",
        11 | 18 => "there is no such row, and none can be made",
        _ => return format!("the switch refuses the change (SNMP error {status})"),
    };
    format!("the switch refuses the change: {why}")
}
