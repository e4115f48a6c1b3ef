//! How a new box becomes a rack: the token it is given, what it asks a region, and what it gets.
//!
//! The API may be plain HTTP, so the token is made for that. The secret in it never travels: the box proves to hold it by
//! a keyed hash over its name and its request (RFC 2104), which is of no use with another request. So whoever listens, or
//! holds the box's request back, can have certified only the key that the box made, which stays in the box. What the box
//! gets is safe too: it takes a certificate of the authority only if that has the fingerprint in the token, which came by
//! another way. Left out: that somebody in between answers in the region's place and so keeps the box from enrolling.
//!
//! A token of a region is the same with other words in it; what it is good for: [`super::region_token`].

use super::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rackwright_common::Secret;
use rackwright_common::secret::exposed;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a box becomes with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// A rack controller.
    Rack,
    /// A region controller.
    Region,
}

impl Controller {
    /// As stored, and as the noun of commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rack => "rack",
            Self::Region => "region",
        }
    }

    /// What every token begins with, so that scanners find leaked ones and people do not mix them up.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Rack => "rwe_",
            Self::Region => "rwj_",
        }
    }
}

impl std::fmt::Display for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long a token lasts when nobody says, seconds.
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

/// What a token holds. On the wire: [`Controller::prefix`], then JSON in base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenContent {
    /// The rack's or region's name.
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
    hex::encode(mac(&stored(secret), &enrolment(name, csr_pem)).finalize().into_bytes())
}

/// Whether a request was made by a holder of the secret of which `stored` is kept. Takes the same time for each answer.
pub fn is_proven(stored: &[u8], asked: &RackEnrolment) -> bool {
    let shown = hex::decode(&asked.proof).unwrap_or_default();
    mac(stored, &enrolment(&asked.name, &asked.csr_pem)).verify_slice(&shown).is_ok()
}

fn enrolment<'a>(name: &'a str, csr_pem: &'a str) -> [&'a [u8]; 4] {
    [b"rackwright-enrol-1\n", name.as_bytes(), b"\n", csr_pem.as_bytes()]
}

/// HMAC-SHA-256 (RFC 2104) over the parts, one after the other.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// A text that is not a token of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Something else altogether.
    #[error(
        "this is not a {0} token: it begins with `{prefix}`; make one with `rackwright {0} token NAME`",
        prefix = .0.prefix()
    )]
    Other(Controller),
    /// Only a part of one, or damaged.
    #[error(
        "the {0} token is damaged: copy all of it, in one line, or make a new one with `rackwright {0} token NAME`"
    )]
    Damaged(Controller),
}

impl TokenContent {
    /// As one string.
    pub fn encode(&self, controller: Controller) -> Secret<String> {
        let json = serde_json::to_vec(self).expect("texts and lists of texts have a form in JSON");
        Secret::new(format!("{}{}", controller.prefix(), URL_SAFE_NO_PAD.encode(json)))
    }

    /// Reads the string; white space around it does not matter.
    pub fn parse(controller: Controller, text: &str) -> Result<Self, TokenError> {
        let damaged = TokenError::Damaged(controller);
        let encoded = text.trim().strip_prefix(controller.prefix()).ok_or(TokenError::Other(controller))?;
        let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| damaged)?;
        let content: Self = serde_json::from_slice(&json).map_err(|_| damaged)?;
        let whole = content.ca_sha256.len() == 64 && !content.name.is_empty() && !content.api.is_empty();
        whole.then_some(content).ok_or(damaged)
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
        let text = content.encode(Controller::Rack).expose().clone();
        assert!(text.starts_with("rwe_") && !text.contains(char::is_whitespace), "{text}");
        assert_eq!(TokenContent::parse(Controller::Rack, &format!(" {text}\n")), Ok(content.clone()));
        assert!(!format!("{content:?}").contains("geheim"));
        let other = TokenContent::parse(Controller::Region, &text);
        assert_eq!(other, Err(TokenError::Other(Controller::Region)), "a rack's token makes no region");
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
        assert_eq!(
            TokenContent::parse(Controller::Rack, "rwt_abc"),
            Err(TokenError::Other(Controller::Rack))
        );
        assert_eq!(TokenContent::parse(Controller::Rack, ""), Err(TokenError::Other(Controller::Rack)));
        for text in ["rwe_", "rwe_e30", "rwe_!!", "rwe_bnVsbA"] {
            let damaged = Err(TokenError::Damaged(Controller::Rack));
            assert_eq!(TokenContent::parse(Controller::Rack, text), damaged, "{text}");
        }
    }
}
