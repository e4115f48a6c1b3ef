//! How a blank box becomes one more region: what it asks a region, and what it gets.
//!
//! What it gets is everything a region is: the master key, the authority's key, the way to the database. The API may be
//! plain HTTP, so none of it travels in the clear, and the token's secret does not travel at all. Both sides make a key
//! for this one exchange (X25519, RFC 7748) and mix the token's secret into what they agree on (HMAC-SHA-256, RFC 2104):
//! * whoever listens has neither of the two private keys, also later, when the token is found in somebody's notes;
//! * whoever sits in between does not have the secret, so what they agree on with either side opens nothing.
//!
//! So an answer that opens was made by a region that knows the token. Left out, as with racks: that somebody in between
//! keeps the box from joining.

use super::Timestamp;
use super::controller_token::{mac, stored};
use crate::secrets::MasterKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;
use rackwright_common::Secret;
use rackwright_common::secret::exposed;
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};

/// For which region a token is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRegionToken {
    /// The name the region will have: 1 to 64 letters, digits, dots, hyphens, underscores.
    pub name: String,
    /// Seconds until the token expires, 60 to 604800; an hour when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u32>,
}

/// What `rackwright region join` takes; good for a short time and for one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RegionToken {
    /// Region addresses, fingerprint of the CA, and a one-time secret.
    #[serde(with = "exposed")]
    #[schema(value_type = String)]
    pub token: Secret<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A box asks to become a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionRequest {
    /// The name in its token.
    pub name: String,
    /// Its key for this exchange: X25519, hexadecimal.
    pub public_key: String,
    /// Its software version.
    pub version: String,
    /// Its clock: seconds since 1970, UTC.
    pub clock: i64,
    /// Shows that it holds the token's secret: [`RegionRequest::prove`].
    pub proof: String,
}

/// What makes a box a region, for nobody else to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RegionWelcome {
    /// The answering region's key for this exchange: X25519, hexadecimal.
    pub public_key: String,
    /// [`RegionSecrets`] as JSON, sealed with what both agreed on: XChaCha20-Poly1305, nonce first, base64.
    pub sealed: String,
}

/// Everything that a region is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionSecrets {
    /// Master key, 64 hexadecimal digits.
    #[serde(with = "exposed")]
    pub master_key: Secret<String>,
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// The authority's private key, PEM.
    #[serde(with = "exposed")]
    pub ca_key_pem: Secret<String>,
    /// The database, as the answering region reaches it.
    #[serde(with = "exposed")]
    pub database_url: Secret<String>,
    /// The authority of the database's servers, PEM, where the URL names a file of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_ca: Option<String>,
    /// Name of the answering region.
    pub region: String,
    /// Settings of `region.toml` that all regions of a site have in common.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// The exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The system gives no random numbers.
    #[error("this box gives no random numbers")]
    Random,
    /// What the other side sent is no key.
    #[error("the other side's key is none")]
    Key,
    /// It was made by somebody else, for somebody else, or damaged.
    #[error("the answer was not made by a region that knows this token")]
    Answer,
}

impl RegionRequest {
    /// HMAC-SHA-256 with the SHA-256 of the token's secret as key, over the line `rackwright-join-1` and the JSON list of
    /// name, key, version and clock; lower-case hexadecimal.
    pub fn prove(&self, secret: &Secret<String>) -> String {
        hex::encode(self.mac(&stored(secret)).finalize().into_bytes())
    }

    /// Whether it was made by a holder of the secret of which `stored` is kept. Takes the same time for each answer.
    pub fn is_proven(&self, stored: &[u8]) -> bool {
        self.mac(stored).verify_slice(&hex::decode(&self.proof).unwrap_or_default()).is_ok()
    }

    fn mac(&self, key: &[u8]) -> hmac::Hmac<sha2::Sha256> {
        let said = serde_json::json!([self.name, self.public_key, self.version, self.clock]).to_string();
        mac(key, &[b"rackwright-join-1\n", said.as_bytes()])
    }
}

/// One side's key for one exchange.
#[derive(Debug)]
pub struct Exchange {
    private: EphemeralPrivateKey,
    public: String,
}

impl Exchange {
    /// Makes a key.
    pub fn new() -> Result<Self, ExchangeError> {
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())
            .map_err(|_| ExchangeError::Random)?;
        let public = private.compute_public_key().map_err(|_| ExchangeError::Random)?;
        Ok(Self { private, public: hex::encode(public) })
    }

    /// Its public half, hexadecimal.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The region's side: seals what the asking box is to have. `stored` is what is kept of the token's secret.
    pub fn seal(
        self,
        stored: &[u8],
        asked: &RegionRequest,
        secrets: &RegionSecrets,
    ) -> Result<RegionWelcome, ExchangeError> {
        let public_key = self.public.clone();
        let key = self.agree(stored, &asked.public_key, [&asked.public_key, &public_key])?;
        let plain = Secret::new(serde_json::to_vec(secrets).map_err(|_| ExchangeError::Answer)?);
        Ok(RegionWelcome { public_key, sealed: STANDARD.encode(key.seal(plain.expose())) })
    }

    /// The box's side: opens what a region answered.
    pub fn open(
        self,
        secret: &Secret<String>,
        welcome: &RegionWelcome,
    ) -> Result<RegionSecrets, ExchangeError> {
        let own = self.public.clone();
        let key = self.agree(&stored(secret), &welcome.public_key, [&own, &welcome.public_key])?;
        let sealed = STANDARD.decode(&welcome.sealed).map_err(|_| ExchangeError::Answer)?;
        let plain = key.open(&sealed).map_err(|_| ExchangeError::Answer)?;
        serde_json::from_slice(plain.expose()).map_err(|_| ExchangeError::Answer)
    }

    /// The key that both sides come to: HMAC-SHA-256 with what is kept of the token's secret as key, over the line
    /// `rackwright-join-key-1`, what X25519 gave, and both public keys, the asking box's first.
    fn agree(self, stored: &[u8], theirs: &str, both: [&str; 2]) -> Result<MasterKey, ExchangeError> {
        let theirs = UnparsedPublicKey::new(&X25519, hex::decode(theirs).map_err(|_| ExchangeError::Key)?);
        let agreed = agree_ephemeral(self.private, &theirs, |shared| {
            let parts: [&[u8]; 4] =
                [b"rackwright-join-key-1\n", shared, both[0].as_bytes(), both[1].as_bytes()];
            mac(stored, &parts).finalize().into_bytes()
        });
        agreed.map(|key| MasterKey::from_bytes(key.into())).map_err(|_| ExchangeError::Key)
    }
}

/// Whether two versions may work side by side: the same major number, and minor numbers that are neighbours.
pub fn side_by_side(one: &str, other: &str) -> bool {
    let numbers = |text: &str| -> Option<(u32, u32)> {
        let mut parts = text.split(['.', '-', '+']);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    match (numbers(one), numbers(other)) {
        (Some((major, minor)), Some((other, its))) => major == other && minor.abs_diff(its) <= 1,
        _ => false,
    }
}

/// By so many seconds a controller's clock may differ from the database's.
const CLOCK_SECONDS: i64 = 60;

/// How a clock differs, if by too much: `7 minutes behind`.
pub fn wrong_clock(theirs: i64, ours: i64) -> Option<String> {
    let off = theirs.saturating_sub(ours);
    let side = if off < 0 { "behind" } else { "ahead of" };
    match off.saturating_abs() {
        ..=CLOCK_SECONDS => None,
        seconds @ ..=119 => Some(format!("{seconds} seconds {side}")),
        seconds @ ..=7199 => Some(format!("{} minutes {side}", seconds / 60)),
        seconds => Some(format!("{} hours {side}", seconds / 3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> RegionSecrets {
        RegionSecrets {
            master_key: Secret::new("00".repeat(32)),
            ca_pem: "CERTIFICATE".into(),
            ca_key_pem: Secret::new("KEY".into()),
            database_url: Secret::new("postgres://x:geheim@10.0.0.9/rackwright".into()),
            database_ca: Some("CERTIFICATE".into()),
            region: "a".into(),
            settings: serde_json::Map::new(),
        }
    }

    fn request(exchange: &Exchange, secret: &Secret<String>) -> RegionRequest {
        let mut request = RegionRequest {
            name: "b".into(),
            public_key: exchange.public().to_owned(),
            version: "0.1.0".into(),
            clock: 1_700_000_000,
            proof: String::new(),
        };
        request.proof = request.prove(secret);
        request
    }

    #[test]
    fn a_clock_is_wrong_by_more_than_a_minute() {
        assert_eq!(wrong_clock(1000, 1060), None);
        assert_eq!(wrong_clock(1000, 1061).unwrap(), "61 seconds behind");
        assert_eq!(wrong_clock(1000, 1420).unwrap(), "7 minutes behind");
        assert_eq!(wrong_clock(9_000, 0).unwrap(), "2 hours ahead of");
        assert!(wrong_clock(i64::MIN, i64::MAX).is_some());
    }

    #[test]
    fn who_holds_the_token_reads_the_answer_and_nobody_else_does() {
        let (secret, other) = (Secret::new("geheim".to_owned()), Secret::new("other".to_owned()));
        let exchange = || Exchange::new().unwrap();
        let asking = exchange();
        let asked = request(&asking, &secret);
        let welcome = exchange().seal(&stored(&secret), &asked, &secrets()).unwrap();
        assert!(!serde_json::to_string(&welcome).unwrap().contains("geheim"));
        assert_eq!(asking.open(&secret, &welcome), Ok(secrets()));

        // Of another token, by another key, damaged, or with a key that is none.
        let asking = exchange();
        let asked = request(&asking, &secret);
        let by_other = exchange().seal(&stored(&other), &asked, &secrets()).unwrap();
        assert_eq!(asking.open(&secret, &by_other), Err(ExchangeError::Answer));
        let for_another = exchange().seal(&stored(&secret), &asked, &secrets()).unwrap();
        assert_eq!(exchange().open(&secret, &for_another), Err(ExchangeError::Answer));
        let none = RegionWelcome { public_key: "00".repeat(32), ..for_another.clone() };
        assert_eq!(exchange().open(&secret, &none), Err(ExchangeError::Key));
        let cut = RegionWelcome { sealed: "AAAA".into(), ..for_another };
        assert_eq!(exchange().open(&secret, &cut), Err(ExchangeError::Answer));
    }

    #[test]
    fn a_proof_is_of_one_request() {
        let secret = Secret::new("geheim".to_owned());
        let asked = request(&Exchange::new().unwrap(), &secret);
        let kept = stored(&secret);
        assert!(asked.is_proven(&kept));
        let changes: [fn(&mut RegionRequest); 5] = [
            |r| r.name.push('x'),
            |r| r.public_key = "aa".repeat(32),
            |r| r.version.push('1'),
            |r| r.clock += 1,
            |r| r.proof.truncate(62),
        ];
        for change in changes {
            let mut changed = asked.clone();
            change(&mut changed);
            assert!(!changed.is_proven(&kept), "{changed:?}");
        }
        assert!(!asked.is_proven(&stored(&Secret::new("other".into()))));
    }

    #[test]
    fn neighbours_work_side_by_side() {
        assert!(side_by_side("0.1.0", "0.1.7") && side_by_side("0.1.0", "0.2.0"));
        assert!(!side_by_side("0.1.0", "0.3.0") && !side_by_side("0.1.0", "1.1.0"));
        assert!(!side_by_side("", "0.1.0"));
    }

    #[test]
    fn nothing_of_it_shows() {
        let shown = format!("{:?}", secrets());
        assert!(!shown.contains("geheim") && !shown.contains("KEY\"") && !shown.contains("0000"), "{shown}");
    }
}
