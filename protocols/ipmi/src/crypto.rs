//! Cipher suites 3 and 17 (IPMI 2.0 §13.27–13.34, tables 22-18 to 22-20): key derivation, integrity and confidentiality.
//!
//! Suite 3 is HMAC-SHA1 / HMAC-SHA1-96 / AES-CBC-128, suite 17 the same with SHA-256 cut to 128 bits. The others are left
//! out on purpose: they are weaker (MD5, RC4, none) or nobody ships them.

use aes::Aes128;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::error::DecodeError;

const BLOCK: usize = 16;

/// A cipher suite this crate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Three,
    /// RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Seventeen,
}

impl Suite {
    /// The number by which operators know it (`-C 17`).
    pub fn id(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Seventeen => 17,
        }
    }

    /// The suite with that number, if it is spoken here.
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            3 => Some(Self::Three),
            17 => Some(Self::Seventeen),
            _ => None,
        }
    }

    /// Algorithm numbers for authentication, integrity, confidentiality (tables 13-17 to 13-19).
    pub fn algorithms(self) -> [u8; 3] {
        match self {
            Self::Three => [1, 1, 1],
            Self::Seventeen => [3, 4, 1],
        }
    }

    /// The suite made of these three algorithms, if it is one of ours.
    pub fn from_algorithms(algorithms: [u8; 3]) -> Option<Self> {
        [Self::Three, Self::Seventeen].into_iter().find(|suite| suite.algorithms() == algorithms)
    }

    /// Length of the key exchange authentication code in RAKP 2 and 3, in bytes.
    pub fn exchange_code_len(self) -> usize {
        match self {
            Self::Three => 20,
            Self::Seventeen => 32,
        }
    }

    /// Length of the truncated code in RAKP 4 and in every packet's trailer, in bytes.
    pub fn code_len(self) -> usize {
        match self {
            Self::Three => 12,
            Self::Seventeen => 16,
        }
    }

    /// The suite's HMAC over the concatenated parts, at full length.
    pub fn mac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Three => mac::<Hmac<Sha1>>(key, parts),
            Self::Seventeen => mac::<Hmac<Sha256>>(key, parts),
        }
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Compares two codes without telling an observer where they differ.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// What a finished RAKP exchange leaves behind (§13.31, §13.32).
#[derive(Clone)]
pub struct Keys {
    suite: Suite,
    integrity: Vec<u8>,
    cipher: [u8; BLOCK],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("suite", &self.suite).finish_non_exhaustive()
    }
}

impl Keys {
    /// K1 and K2 from the session integrity key.
    pub fn derive(suite: Suite, sik: &[u8]) -> Self {
        let integrity = suite.mac(sik, &[&[1; 20]]);
        let mut cipher = [0; BLOCK];
        cipher.copy_from_slice(&suite.mac(sik, &[&[2; 20]])[..BLOCK]);
        Self { suite, integrity, cipher }
    }

    /// The suite these keys belong to.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The packet's authentication code over the bytes from the auth type to the next header field (§13.28.4).
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let mut code = self.suite.mac(&self.integrity, &[bytes]);
        code.truncate(self.suite.code_len());
        code
    }

    /// Encrypts a payload: IV, then payload with its pad 1, 2, 3 … and the pad's length (§13.29).
    pub fn encrypt(&self, iv: [u8; BLOCK], payload: &[u8]) -> Vec<u8> {
        let pad = (BLOCK - (payload.len() + 1) % BLOCK) % BLOCK;
        let mut plain = payload.to_vec();
        plain.extend((1u8..).take(pad));
        plain.push(pad as u8);
        let length = plain.len();
        cbc::Encryptor::<Aes128>::new(&self.cipher.into(), &iv.into())
            .encrypt_padded_mut::<NoPadding>(&mut plain, length)
            .expect("the pad made it a whole number of blocks");
        [iv.as_slice(), &plain].concat()
    }

    /// Undoes [`Keys::encrypt`].
    pub fn decrypt(&self, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        const WHAT: &str = "encrypted payload";
        let (iv, sealed) = bytes.split_first_chunk::<BLOCK>().ok_or(DecodeError::TooShort { what: WHAT })?;
        let mut plain = sealed.to_vec();
        cbc::Decryptor::<Aes128>::new(&self.cipher.into(), &(*iv).into())
            .decrypt_padded_mut::<NoPadding>(&mut plain)
            .map_err(|_| DecodeError::Value { what: "encrypted length", value: sealed.len() as u32 })?;
        let pad = plain.pop().ok_or(DecodeError::TooShort { what: WHAT })?;
        let kept = plain
            .len()
            .checked_sub(pad.into())
            .filter(|_| usize::from(pad) < BLOCK)
            .ok_or(DecodeError::Value { what: "encryption pad", value: pad.into() })?;
        plain.truncate(kept);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_2202_and_rfc_4231_vectors() {
        let sha1 = Suite::Three.mac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(sha1[..6], [0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb]);
        let sha256 = Suite::Seventeen.mac(b"Jefe", &[b"what do ya want for nothing?"]);
        assert_eq!(sha256[..6], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60]);
    }

    #[test]
    fn what_is_encrypted_comes_back_whatever_its_length() {
        for suite in [Suite::Three, Suite::Seventeen] {
            let keys = Keys::derive(suite, &[9; 20]);
            for len in 0..70 {
                let plain: Vec<u8> = (0..len).collect();
                let sealed = keys.encrypt([7; 16], &plain);
                assert_eq!(sealed.len() % 16, 0);
                assert_eq!(keys.decrypt(&sealed).unwrap(), plain);
            }
        }
    }

    #[test]
    fn damaged_ciphertext_does_not_panic() {
        let keys = Keys::derive(Suite::Seventeen, b"sik");
        let sealed = keys.encrypt([7; 16], b"chassis");
        for cut in 0..sealed.len() {
            drop(keys.decrypt(&sealed[..cut]));
        }
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            drop(keys.decrypt(&damaged));
        }
    }
}
