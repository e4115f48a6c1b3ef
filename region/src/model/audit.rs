//! The audit: what people did, in a chain of hashes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// 1, 2, 3 … without gaps.
    pub number: i64,
    /// JSON as it was hashed: `at`, `actor`, `from`, `kind`, `machine`, `operation`, `message`, and `data` with `before` and `after`.
    pub record: String,
    /// SHA-256, hexadecimal, over the hash of the entry before (32 zero bytes for the first), the number in decimal, a line
    /// feed, and the record.
    pub hash: String,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Those after this number, oldest first; without it the newest come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Those before this number, newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// By this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// At most this many, 1 to 1000; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// A place in the chain: what somebody notes elsewhere to know later that nothing before it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Number of the entry.
    pub number: i64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl std::str::FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once(':').and_then(|(number, hash)| Some((number.parse().ok()?, hash)));
        match parsed {
            Some((number, hash)) if hash.len() == 64 && hex::decode(hash).is_ok() => {
                Ok(Self { number, hash: hash.to_ascii_lowercase() })
            }
            _ => Err(format!("`{text}` is not NUMBER:HASH, as `rackwright audit verify` prints it")),
        }
    }
}

/// Walks the chain from its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    at: i64,
    hash: [u8; 32],
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is not there.
    #[error("entry {missing} is missing: after {0} comes {found}", .missing - 1)]
    Gap {
        /// Which.
        missing: i64,
        /// What came instead.
        found: i64,
    },
    /// An entry, or one before it, is not what was hashed.
    #[error("entry {0} was changed, or one before it was put in its place: its hash does not fit")]
    Hash(i64),
}

impl Walk {
    /// The next entry fits on what came before.
    pub fn step(&mut self, entry: &AuditEntry) -> Result<(), Broken> {
        if entry.number != self.at + 1 {
            return Err(Broken::Gap { missing: self.at + 1, found: entry.number });
        }
        let mut digest = Sha256::new();
        digest.update(self.hash);
        digest.update(format!("{}\n", entry.number));
        digest.update(&entry.record);
        let hash: [u8; 32] = digest.finalize().into();
        if hex::encode(hash) != entry.hash {
            return Err(Broken::Hash(entry.number));
        }
        (self.at, self.hash) = (entry.number, hash);
        Ok(())
    }

    /// Where it stands.
    pub fn mark(&self) -> Mark {
        Mark { number: self.at, hash: hex::encode(self.hash) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(records: &[&str]) -> Vec<AuditEntry> {
        let (mut before, mut all) = ([0_u8; 32], Vec::new());
        for (number, record) in (1_i64..).zip(records) {
            let text = [before.as_slice(), format!("{number}\n{record}").as_bytes()].concat();
            before = Sha256::digest(text).into();
            all.push(AuditEntry { number, record: (*record).to_owned(), hash: hex::encode(before) });
        }
        all
    }

    fn walk(entries: &[AuditEntry]) -> Result<Mark, Broken> {
        let mut walk = Walk::default();
        entries.iter().try_for_each(|entry| walk.step(entry)).map(|()| walk.mark())
    }

    #[test]
    fn what_was_changed_removed_or_put_in_is_found() {
        let whole = chain(&["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"]);
        assert_eq!(walk(&whole).unwrap().to_string(), format!("3:{}", whole[2].hash));
        let mut changed = whole.clone();
        changed[1].record = "{\"a\":9}".into();
        assert_eq!(walk(&changed), Err(Broken::Hash(2)));
        let without = [whole[0].clone(), whole[2].clone()];
        assert_eq!(walk(&without), Err(Broken::Gap { missing: 2, found: 3 }));
        let mut renumbered = without.to_vec();
        renumbered[1].number = 2;
        assert_eq!(walk(&renumbered), Err(Broken::Hash(2)));
    }

    #[test]
    fn a_mark_is_read_back() {
        let mark = walk(&chain(&["x"])).unwrap();
        assert_eq!(mark.to_string().parse(), Ok(mark));
        assert!("7".parse::<Mark>().is_err() && "7:abc".parse::<Mark>().is_err());
    }
}
