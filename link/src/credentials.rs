//! What one end shows and what it trusts: certificate, key, and the authority's certificate.

use crate::ca::CaError;
use crate::sha256_hex;
use rackwright_common::Secret;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};
use x509_parser::pem::parse_x509_pem;

/// The name that every region's certificate carries and every rack asks for, wherever the region listens.
pub const REGION_NAME: &str = "rackwright-region";

const CA_FILE: &str = "ca.pem";
const CERTIFICATE_FILE: &str = "certificate.pem";
const KEY_FILE: &str = "key.pem";

/// One end's half of mutual TLS.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Certificate of the site's authority, PEM.
    pub ca_pem: String,
    /// Own certificate, PEM.
    pub certificate_pem: String,
    /// Own private key, PKCS #8 PEM.
    pub key_pem: Secret<String>,
}

impl Credentials {
    /// Reads `ca.pem`, `certificate.pem` and `key.pem` from a folder.
    pub fn load(dir: &Path) -> Result<Self, CaError> {
        Self::load_files(&dir.join(CA_FILE), &dir.join(CERTIFICATE_FILE), &dir.join(KEY_FILE))
    }

    /// Reads the three files.
    pub fn load_files(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, CaError> {
        Ok(Self { ca_pem: read(ca)?, certificate_pem: read(certificate)?, key_pem: Secret::new(read(key)?) })
    }

    /// Writes the three files; the key is readable by its owner only.
    pub fn save(&self, dir: &Path) -> Result<(), CaError> {
        fs::create_dir_all(dir).map_err(|e| CaError::file(dir, e))?;
        write(&dir.join(CA_FILE), &self.ca_pem, 0o644)?;
        write(&dir.join(CERTIFICATE_FILE), &self.certificate_pem, 0o644)?;
        write(&dir.join(KEY_FILE), self.key_pem.expose(), 0o600)
    }

    fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate_pem, self.key_pem.expose())
    }

    pub(crate) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.identity())
            .client_ca_root(Certificate::from_pem(&self.ca_pem))
            .timeout(std::time::Duration::from_secs(10))
    }

    pub(crate) fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .identity(self.identity())
            .ca_certificate(Certificate::from_pem(&self.ca_pem))
            .domain_name(REGION_NAME)
    }
}

/// The rack's name in the certificate it showed (first of the chain, DER): its common name. `None` for a
/// certificate that is not a rack's.
pub fn peer_rack_name<C: AsRef<[u8]>>(certificates: &[C]) -> Option<String> {
    let (unit, name) = peer(certificates)?;
    (unit == crate::ca::RACK_UNIT).then_some(name)
}

/// Whether it is a region's certificate (first of the chain, DER).
pub(crate) fn is_region<C: AsRef<[u8]>>(certificates: &[C]) -> bool {
    peer(certificates).is_some_and(|(unit, name)| unit == crate::ca::REGION_UNIT && name == REGION_NAME)
}

/// Organizational unit and common name.
fn peer<C: AsRef<[u8]>>(certificates: &[C]) -> Option<(String, String)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificates.first()?.as_ref()).ok()?;
    let subject = certificate.subject();
    let unit = subject.iter_organizational_unit().next()?.as_str().ok()?;
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    (!name.is_empty()).then(|| (unit.to_owned(), name.to_owned()))
}

/// SHA-256 of a PEM certificate's DER, lower-case hexadecimal: what an enrolment token carries to recognize
/// the authority by.
pub fn fingerprint(certificate_pem: &str) -> Result<String, CaError> {
    let (_, pem) = parse_x509_pem(certificate_pem.as_bytes())
        .map_err(|e| CaError::Malformed(format!("not a PEM certificate: {e}")))?;
    Ok(sha256_hex(&pem.contents))
}

pub(crate) fn read(path: &Path) -> Result<String, CaError> {
    fs::read_to_string(path).map_err(|e| CaError::file(path, e))
}

/// Never half a file, never a moment with the wrong mode.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let temporary = path.with_extension("tmp");
    let store = || {
        if temporary.exists() {
            fs::remove_file(&temporary)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    store().map_err(|e| CaError::file(path, e))
}
