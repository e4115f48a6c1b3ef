//! Names of things that the database makes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A machine's identifier: six lower-case letters and digits, as users type it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, example = "k3x9ab"))]
pub struct MachineId(String);

impl MachineId {
    /// A new one; 32^6 values without look-alike characters. The database refuses the rare repeat.
    pub fn random() -> Self {
        Self((0..6).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a machine identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a machine identifier: six lower-case letters and digits")]
pub struct InvalidMachineId(String);

impl FromStr for MachineId {
    type Err = InvalidMachineId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ok = text.len() == 6 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if ok { Ok(Self(text.to_owned())) } else { Err(InvalidMachineId(text.to_owned())) }
    }
}

impl TryFrom<String> for MachineId {
    type Error = InvalidMachineId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MachineId> for String {
    fn from(id: MachineId) -> Self {
        id.0
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An operation's number. Later operations have higher numbers, which fences rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationId(pub i64);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Orders the commands that reach one machine: whoever has seen a higher fence refuses a lower one, so an
/// owner that was paused and wakes up does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fence {
    /// The operation on whose behalf the command is given.
    pub operation: OperationId,
    /// Raised by each claim of that operation.
    pub epoch: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_valid() {
        for _ in 0..1000 {
            let id = MachineId::random();
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
        }
    }

    #[test]
    fn a_later_operation_beats_any_epoch_of_an_earlier_one() {
        let early = Fence { operation: OperationId(3), epoch: 90 };
        let late = Fence { operation: OperationId(4), epoch: 1 };
        assert!(late > early);
    }

    #[test]
    fn other_text_is_refused_with_a_reason() {
        assert!("ABC123".parse::<MachineId>().is_err());
        assert!("abc12".parse::<MachineId>().unwrap_err().to_string().contains("six lower-case"));
    }
}
