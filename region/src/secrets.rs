//! The master key: what is encrypted at rest, and the tokens derived from it.
//!
//! Every region of a site has the same key, in a file outside the database. Tokens of agents and of cloud-init are
//! derived from it instead of being stored, so that any region checks what another has given out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rackwright_common::{MachineId, OperationId, Secret};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use subtle::ConstantTimeEq;

const NONCE: usize = 24;

/// 256 random bits that only the regions know.
#[derive(Debug, Clone)]
pub struct MasterKey(Arc<Secret<[u8; 32]>>);

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or writing the file failed.
    #[error("the master key file {path} cannot be read or made")]
    File {
        /// Which.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Not 64 hexadecimal digits.
    #[error("the master key file {0} does not hold 64 hexadecimal digits; restore it from the backup")]
    Format(String),
}

/// The stored bytes were not sealed with this key, or were changed.
#[derive(Debug, thiserror::Error)]
#[error("a stored secret does not open with this master key; is it the key of another site?")]
pub struct OpenError;

/// Who a token of the ephemeral environment speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentToken {
    /// A machine nobody knows yet; may say hello and nothing else.
    Enlist,
    /// A machine booted on behalf of an operation, under the epoch of that boot.
    Operation {
        /// Which operation.
        operation: OperationId,
        /// Its epoch when the boot was decided.
        epoch: i64,
    },
}

impl MasterKey {
    /// The key of 64 hexadecimal digits, white space around them allowed; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode(text.trim()).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
        bytes.map(Self::from_bytes)
    }

    /// Reads the key, or makes one at the first start.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.display().to_string(), source };
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_hex(&text).ok_or_else(|| KeyError::Format(path.display().to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key: [u8; 32] = rand::random();
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)
                    .map_err(failed)?;
                writeln!(file, "{}", hex::encode(key)).and_then(|()| file.sync_all()).map_err(failed)?;
                Ok(Self::from_bytes(key))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The key as its file holds it, to hand it to another region or into a backup.
    pub fn to_hex(&self) -> Secret<String> {
        Secret::new(hex::encode(self.0.expose()))
    }

    /// A key with known content.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Secret::new(bytes)))
    }

    /// Encrypts for storage: nonce, then ciphertext.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let sealed = self.cipher().encrypt(&nonce, plain).expect("this cipher fails only above 256 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Decrypts what [`Self::seal`] wrote.
    pub fn open(&self, sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        if sealed.len() < NONCE {
            return Err(OpenError);
        }
        let (nonce, ciphertext) = sealed.split_at(NONCE);
        self.cipher().decrypt(XNonce::from_slice(nonce), ciphertext).map(Secret::new).map_err(|_| OpenError)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(Key::from_slice(&self.derive("seal")))
    }

    /// A key for one purpose: HMAC-SHA256 of the purpose under the master key.
    fn derive(&self, purpose: &str) -> [u8; 32] {
        hmac_sha256(self.0.expose(), purpose.as_bytes())
    }

    /// The token with which a machine that was booted for an operation speaks.
    pub fn agent_token(&self, token: AgentToken) -> Secret<String> {
        let name = match token {
            AgentToken::Enlist => "rwe1".to_owned(),
            AgentToken::Operation { operation, epoch } => format!("rwa1.{operation}.{epoch}"),
        };
        let proof = URL_SAFE_NO_PAD.encode(self.derive(&format!("agent:{name}")));
        Secret::new(format!("{name}.{proof}"))
    }

    /// Who a presented token speaks for; `None` when it is not ours.
    pub fn check_agent_token(&self, text: &str) -> Option<AgentToken> {
        let (name, _) = text.rsplit_once('.')?;
        let claimed = match name.split('.').collect::<Vec<_>>()[..] {
            ["rwe1"] => AgentToken::Enlist,
            ["rwa1", operation, epoch] => AgentToken::Operation {
                operation: OperationId(operation.parse().ok()?),
                epoch: epoch.parse().ok()?,
            },
            _ => return None,
        };
        let genuine = self.agent_token(claimed);
        bool::from(genuine.expose().as_bytes().ct_eq(text.as_bytes())).then_some(claimed)
    }

    /// The secret half of a deployed system's metadata credentials.
    pub fn metadata_secret(&self, machine: &MachineId, operation: OperationId) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(&self.derive(&format!("metadata:{machine}:{operation}"))[..24]))
    }

    /// The password that Rackwright gives its own user on a machine's BMC; 16 characters, as IPMI 1.5 allows.
    pub fn bmc_password(&self, machine: &MachineId) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(&self.derive(&format!("bmc:{machine}"))[..12]))
    }
}

/// HMAC-SHA256 (RFC 2104) for keys of at most one block, which is all that is used here.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey::from_bytes([7; 32])
    }

    #[test]
    fn hmac_matches_rfc_4231_case_1_padded() {
        // RFC 4231 §4.3 uses the key "Jefe"; a key shorter than the block is padded with zeroes.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mac = hmac_sha256(&key, b"what do ya want for nothing?");
        assert_eq!(hex::encode(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn sealed_secrets_open_only_whole_and_with_the_same_key() {
        let sealed = key().seal(b"calvin");
        assert_eq!(key().open(&sealed).unwrap().expose(), b"calvin");
        assert!(MasterKey::from_bytes([8; 32]).open(&sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(key().open(&sealed[..cut]).is_err());
        }
    }

    #[test]
    fn agent_tokens_name_their_operation_and_cannot_be_altered() {
        let claim = AgentToken::Operation { operation: OperationId(12), epoch: 3 };
        let token = key().agent_token(claim);
        assert_eq!(key().check_agent_token(token.expose()), Some(claim));
        assert_eq!(key().check_agent_token(&token.expose().replace("rwa1.12.3", "rwa1.13.3")), None);
        assert_eq!(
            key().check_agent_token(key().agent_token(AgentToken::Enlist).expose()),
            Some(AgentToken::Enlist)
        );
        for text in ["", ".", "rwe1", "rwe1.", "rwa1.1.x.y", "rwa1.99999999999999999999.1.x"] {
            assert_eq!(key().check_agent_token(text), None, "{text}");
        }
    }
}
