//! The token with which a new box becomes a rack or a region: where it finds the regions, and a secret of one use.
//!
//! What it is good for, and why plain HTTP will do: [`super::rack_token`], [`super::region_token`].

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

/// What a region stores of a secret, and the key with which a box proves to hold it: its SHA-256.
pub fn stored(secret: &Secret<String>) -> Vec<u8> {
    Sha256::digest(secret.expose().as_bytes()).to_vec()
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
