//! HTTP digest authentication (RFC 7616): MD5 and `qop=auth`, which is what AMT speaks.
//!
//! MD5 is broken for collisions, not for this; whoever needs secrecy uses TLS.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// A server's challenge, from `WWW-Authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Realm; on AMT `Digest:` and a device id.
    pub realm: String,
    /// The server's number.
    pub nonce: String,
    /// Echoed when given.
    pub opaque: Option<String>,
    /// The server wants `qop=auth`.
    pub qop_auth: bool,
    /// The nonce was good once: try again with this one, the password is not at fault.
    pub stale: bool,
}

impl Challenge {
    /// Reads the header's value. `None` when it is no digest challenge with MD5.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let parameters = parameters(rest);
        let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if get("algorithm").is_some_and(|algorithm| !algorithm.eq_ignore_ascii_case("md5")) {
            return None;
        }
        let qop = get("qop").unwrap_or_default();
        Some(Self {
            realm: get("realm")?,
            nonce: get("nonce")?,
            opaque: get("opaque"),
            qop_auth: qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")),
            stale: get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The header's value; the server's side.
    pub fn header(&self) -> String {
        format!(
            "Digest realm=\"{}\", nonce=\"{}\", stale=\"{}\", qop=\"auth\"",
            self.realm, self.nonce, self.stale
        )
    }
}

/// `name=value` and `name="value"` pairs, separated by commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_ascii_lowercase();
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name, value.trim().to_owned()));
        rest = left;
    }
    found
}

/// Name and password of an account.
#[derive(Clone)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

fn md5(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

/// What a client sends for a challenge.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Path and query.
    pub uri: &'a str,
    /// The client's number.
    pub cnonce: &'a str,
    /// How often this nonce has been used, from 1.
    pub count: u32,
}

impl Login {
    /// The value of `Authorization` for a request.
    pub fn authorize(&self, challenge: &Challenge, attempt: &Attempt<'_>) -> String {
        let Challenge { realm, nonce, .. } = challenge;
        let Attempt { uri, cnonce, count, .. } = attempt;
        let mut header = format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{}\"",
            self.username.replace(['"', '\\', '\r', '\n'], ""),
            self.response(challenge, attempt)
        );
        if challenge.qop_auth {
            header += &format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"");
        }
        if let Some(opaque) = &challenge.opaque {
            header += &format!(", opaque=\"{opaque}\"");
        }
        header
    }

    fn response(&self, challenge: &Challenge, attempt: &Attempt<'_>) -> String {
        let account = md5(&format!("{}:{}:{}", self.username, challenge.realm, self.password));
        let target = md5(&format!("{}:{}", attempt.method, attempt.uri));
        let nonce = &challenge.nonce;
        if challenge.qop_auth {
            let Attempt { count, cnonce, .. } = attempt;
            md5(&format!("{account}:{nonce}:{count:08x}:{cnonce}:auth:{target}"))
        } else {
            md5(&format!("{account}:{nonce}:{target}"))
        }
    }

    /// Whether an `Authorization` header proves this login for `nonce`; the server's side.
    pub fn is_proven_by(&self, header: &str, challenge: &Challenge, method: &str) -> bool {
        let Some(rest) = header.strip_prefix("Digest ") else { return false };
        let parameters = parameters(rest);
        let get = |name: &str| {
            parameters.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
        };
        let qop_auth = !get("qop").is_empty();
        let challenge = Challenge { qop_auth, ..challenge.clone() };
        let attempt = Attempt {
            method,
            uri: get("uri"),
            cnonce: get("cnonce"),
            count: u32::from_str_radix(get("nc"), 16).unwrap_or(0),
        };
        let wanted = self.response(&challenge, &attempt);
        get("username") == self.username
            && get("nonce") == challenge.nonce
            && bool::from(wanted.as_bytes().ct_eq(get("response").as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2617 §3.5.
    #[test]
    fn the_example_of_the_rfc() {
        let challenge = Challenge::parse(
            "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        )
        .unwrap();
        let login = Login { username: "Mufasa".into(), password: "Circle Of Life".into() };
        let attempt = Attempt { method: "GET", uri: "/dir/index.html", cnonce: "0a4f113b", count: 1 };
        let header = login.authorize(&challenge, &attempt);
        assert!(header.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{header}");
        assert!(
            header.contains("nc=00000001") && header.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"")
        );
        assert!(login.is_proven_by(&header, &challenge, "GET"));
        assert!(!login.is_proven_by(&header, &challenge, "POST"));
        let other = Login { password: "wrong".into(), ..login };
        assert!(!other.is_proven_by(&header, &challenge, "GET"));
        assert!(!format!("{other:?}").contains("wrong"));
    }

    #[test]
    fn other_schemes_and_algorithms_are_not_ours() {
        assert_eq!(Challenge::parse("Basic realm=\"x\""), None);
        assert_eq!(Challenge::parse("Digest realm=\"x\", nonce=\"y\", algorithm=SHA-256"), None);
        assert_eq!(Challenge::parse("Digest realm=\"x\""), None);
        assert_eq!(Challenge::parse(""), None);
    }
}
