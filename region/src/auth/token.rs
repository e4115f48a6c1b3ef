//! Random secrets that callers carry: 256 bits, stored as SHA-256.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rackwright_common::Secret;
use sha2::{Digest, Sha256};

/// What every API token begins with, so that scanners find leaked ones.
pub const PREFIX: &str = "rwt_";

/// A new API token.
pub fn new_token() -> Secret<String> {
    Secret::new(format!("{PREFIX}{}", random()))
}

/// 256 random bits in base64url, for sessions and CSRF tokens.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A password for people to type once: 20 characters without look-alikes, about 100 bits.
pub fn random_password() -> Secret<String> {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let one = |_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]);
    Secret::new((0..20).map(one).collect())
}

/// What is stored of a token.
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_recognisable_and_different() {
        let (one, two) = (new_token(), new_token());
        assert!(one.expose().starts_with("rwt_") && one.expose().len() == 47);
        assert_ne!(one, two);
        assert_eq!(hash("abc").len(), 32);
    }
}
