//! How a new box becomes a rack: the token it is given, what it asks a region, and what it gets.
//!
//! The API may be plain HTTP, so the token is made for that. The secret in it never travels: the box proves to hold it by
//! a keyed hash over its name and its request (RFC 2104), which is of no use with another request. So whoever listens, or
//! holds the box's request back, can have certified only the key that the box made, which stays in the box. What the box
//! gets is safe too: it takes a certificate of the authority only if that has the fingerprint in the token, which came by
//! another way. Left out: that somebody in between answers in the region's place and so keeps the box from enrolling.

use super::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rackwright_common::Secret;
use rackwright_common::secret::exposed;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What every rack token begins with, so that scanners find leaked ones and people do not mix them up.
pub const PREFIX: &str = "rwe_";
/// How long a rack token lasts when nobody says, seconds.
pub const DEFAULT_SECONDS: u32 = 3600;

/// For which rack a token is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRackToken {
    /// The name the rack will have: 1 to 64 letters, digits, dots, hyphens, underscores.
    pub name: String,
    /// Seconds until the token expires, 60 to 604800; an hour when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u32>,
}

/// What `rackwright rack enroll` takes; good for a short time and for one rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RackToken {
    /// Region addresses, fingerprint of the CA, and a one-time secret.
    #[serde(with = "exposed")]
    #[schema(value_type = String)]
    pub token: Secret<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A box asks to become a rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RackEnrolment {
    /// Shows that it holds the token's secret: [`proof`].
    pub proof: String,
    /// The name in its token.
    pub name: String,
    /// Certificate signing request (PKCS #10), PEM. What it asks for is ignored.
    pub csr_pem: String,
}

/// What makes a box a rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RackCertificate {
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// The authority's certificate, PEM; to be trusted only with the token's fingerprint.
    pub ca_pem: String,
    /// `host:port` of the regions' stream services.
    pub regions: Vec<String>,
}

/// What a rack token holds. On the wire: [`PREFIX`], then JSON in base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenContent {
    /// The rack's name.
    pub name: String,
    /// Addresses of the API, such as `http://10.0.0.1:5240`.
    pub api: Vec<String>,
    /// `host:port` of the regions' stream services.
    pub regions: Vec<String>,
    /// SHA-256 of the authority's certificate, lower-case hexadecimal.
    pub ca_sha256: String,
    /// What the box proves to hold.
    #[serde(with = "exposed")]
    pub secret: Secret<String>,
}

/// What a region stores of a secret, and the key of [`proof`]: its SHA-256.
pub fn stored(secret: &Secret<String>) -> Vec<u8> {
    Sha256::digest(secret.expose().as_bytes()).to_vec()
}

/// HMAC-SHA-256 (RFC 2104) with the SHA-256 of the secret as key, over the line `rackwright-enrol-1`, the rack's name in
/// a line, and the certificate signing request as it is sent; lower-case hexadecimal.
pub fn proof(secret: &Secret<String>, name: &str, csr_pem: &str) -> String {
    hex::encode(keyed(&stored(secret), name, csr_pem).finalize().into_bytes())
}

/// Whether a request was made by a holder of the secret of which `stored` is kept. Takes the same time for each answer.
pub fn is_proven(stored: &[u8], asked: &RackEnrolment) -> bool {
    let shown = hex::decode(&asked.proof).unwrap_or_default();
    keyed(stored, &asked.name, &asked.csr_pem).verify_slice(&shown).is_ok()
}

fn keyed(key: &[u8], name: &str, csr_pem: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in ["rackwright-enrol-1\n", name, "\n", csr_pem] {
        mac.update(part.as_bytes());
    }
    mac
}

/// A text that is not a rack token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Something else altogether.
    #[error(
        "this is not a rack token: it begins with `{PREFIX}`; make one with `rackwright rack token NAME`"
    )]
    Other,
    /// Only a part of one, or damaged.
    #[error(
        "the rack token is damaged: copy all of it, in one line, or make a new one with `rackwright rack token NAME`"
    )]
    Damaged,
}

impl TokenContent {
    /// As one string.
    pub fn encode(&self) -> Secret<String> {
        let json = serde_json::to_vec(self).expect("texts and lists of texts have a form in JSON");
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json)))
    }

    /// Reads the string; white space around it does not matter.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(TokenError::Other)?;
        let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Damaged)?;
        let content: Self = serde_json::from_slice(&json).map_err(|_| TokenError::Damaged)?;
        let whole = content.ca_sha256.len() == 64 && !content.name.is_empty() && !content.api.is_empty();
        whole.then_some(content).ok_or(TokenError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_shows_nothing() {
        let content = TokenContent {
            name: "rack-1".into(),
            api: vec!["http://10.0.0.1:5240".into()],
            regions: vec!["10.0.0.1:5241".into()],
            ca_sha256: "a".repeat(64),
            secret: Secret::new("geheim".into()),
        };
        let text = content.encode().expose().clone();
        assert!(text.starts_with("rwe_") && !text.contains(char::is_whitespace), "{text}");
        assert_eq!(TokenContent::parse(&format!(" {text}\n")), Ok(content.clone()));
        assert!(!format!("{content:?}").contains("geheim"));
    }

    #[test]
    fn a_proof_is_of_one_secret_one_name_and_one_request() {
        let secret = Secret::new("geheim".to_owned());
        let proof = proof(&secret, "rack-1", "CSR");
        // printf 'rackwright-enrol-1\nrack-1\nCSR' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf geheim | sha256sum | cut -c-64)
        assert_eq!(proof, "0f5fef915c223e55b63d4b8a08a50a3a971d112b2abd381f2e8ad1101bdb485a");
        let ask = |name: &str, csr: &str, proof: &str| RackEnrolment {
            proof: proof.to_owned(),
            name: name.to_owned(),
            csr_pem: csr.to_owned(),
        };
        let stored = stored(&secret);
        assert!(is_proven(&stored, &ask("rack-1", "CSR", &proof)));
        assert!(!is_proven(&stored, &ask("rack-2", "CSR", &proof)));
        assert!(!is_proven(&stored, &ask("rack-1", "another", &proof)));
        assert!(!is_proven(&super::stored(&Secret::new("other".into())), &ask("rack-1", "CSR", &proof)));
        for wrong in ["", "zz", &proof[..62], &format!("{proof}00")] {
            assert!(!is_proven(&stored, &ask("rack-1", "CSR", wrong)), "{wrong:?}");
        }
    }

    #[test]
    fn half_a_token_and_another_thing_are_told_apart() {
        assert_eq!(TokenContent::parse("rwt_abc"), Err(TokenError::Other));
        assert_eq!(TokenContent::parse(""), Err(TokenError::Other));
        for text in ["rwe_", "rwe_e30", "rwe_!!", "rwe_bnVsbA"] {
            assert_eq!(TokenContent::parse(text), Err(TokenError::Damaged), "{text}");
        }
    }
}
