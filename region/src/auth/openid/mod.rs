//! OpenID Connect: the authorization code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636).
//!
//! What holds: nobody is let in but on an ID token that the provider signed with a key of its own, for this client, for
//! this login, and that is in force. What is left out: implicit and hybrid flows, encrypted tokens, and asking the
//! provider for claims that are not in the ID token.

mod id_token;
mod provider;

pub use id_token::Identity;
pub use provider::{Cache, Client};

use crate::secrets::MasterKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rackwright_common::Secret;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why nobody is let in. The texts are for the one who logs in: what is wrong, and who can mend it.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// The provider does not answer.
    #[error(
        "the login provider does not answer at {address}: is it running, and does this region reach it and trust its certificate?"
    )]
    Unreachable {
        /// Where it was asked.
        address: String,
        /// The cause.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// No client can be made to ask it.
    #[error("the login provider cannot be asked: is `ca` the PEM text of certificates?")]
    Setup(#[source] reqwest::Error),
    /// It answers with something else.
    #[error("the login provider's answer cannot be used: {0}")]
    Answer(String),
    /// It refuses the code: the client's settings differ.
    #[error(
        "the login provider refused this site ({0}): compare client id, secret and redirect address with what it has"
    )]
    Refused(String),
    /// Its token's form or signature is not good.
    #[error("the login provider's token is not good")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// What its token says is not good.
    #[error("the login provider's token is not good: {0}")]
    Claim(String),
}

/// A login under way: what has to come back, kept by the browser, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Comes back with the code.
    pub state: String,
    /// Comes back in the token.
    pub nonce: String,
    /// Proves that the code is asked for by who began (RFC 7636 section 4.1).
    pub verifier: String,
    /// Where to go afterwards.
    pub next: String,
    /// When it began, Unix seconds.
    pub began: i64,
}

impl Pending {
    /// What a cookie holds; opaque to the browser.
    pub fn seal(&self, keys: &MasterKey) -> Secret<String> {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        Secret::new(URL_SAFE_NO_PAD.encode(keys.seal(&plain)))
    }

    /// What [`Self::seal`] sealed; none for anything else.
    pub fn open(keys: &MasterKey, cookie: &Secret<String>) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(cookie.expose()).ok()?;
        serde_json::from_slice(keys.open(&sealed).ok()?.expose()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_browser_keeps_cannot_be_made_up() {
        let keys = MasterKey::from_bytes([7; 32]);
        let text = || "x".to_owned();
        let pending = Pending { state: text(), nonce: text(), verifier: text(), next: "/".into(), began: 5 };
        let cookie = pending.seal(&keys);
        assert_eq!(Pending::open(&keys, &cookie), Some(pending));
        assert_eq!(Pending::open(&MasterKey::from_bytes([8; 32]), &cookie), None);
        assert_eq!(Pending::open(&keys, &Secret::new("e30".into())), None);
    }
}
