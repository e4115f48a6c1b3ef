//! How a new box becomes a rack: the token it is given, what it asks a region, and what it gets.
//!
//! The API is plain HTTP, so the token is made for that. What the box gets is safe: it takes a certificate of the
//! authority only if that has the fingerprint in the token, which came by another way. The secret is seen by whoever
//! can listen between box and region; it is good once and for a short time. Left out: protection against somebody
//! who can hold the box's request back and use its secret first. Then the box is refused, which says that it
//! happened; where that is to be feared, enrol over a tunnel.

use super::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rackwright_common::Secret;
use rackwright_common::secret::exposed;
use serde::{Deserialize, Serialize};

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
    /// The secret in its token.
    #[serde(with = "exposed")]
    #[schema(value_type = String)]
    pub secret: Secret<String>,
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
    /// What the box shows to be let in.
    #[serde(with = "exposed")]
    pub secret: Secret<String>,
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
    fn half_a_token_and_another_thing_are_told_apart() {
        assert_eq!(TokenContent::parse("rwt_abc"), Err(TokenError::Other));
        assert_eq!(TokenContent::parse(""), Err(TokenError::Other));
        for text in ["rwe_", "rwe_e30", "rwe_!!", "rwe_bnVsbA"] {
            assert_eq!(TokenContent::parse(text), Err(TokenError::Damaged), "{text}");
        }
    }
}
