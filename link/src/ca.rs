//! The site's own certificate authority. Regions share its key; it signs regions and racks, nothing else.
//!
//! Certificates are valid from 2020 on, because a new box may believe any date, and for a long time, because a
//! rack must come back after years in a store room; who is still a rack is decided by the region's list.

use crate::credentials::{Credentials, REGION_NAME, fingerprint, read, write};
use rackwright_common::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

const ORGANIZATION: &str = "Rackwright";
/// Organizational unit in a region's certificate.
pub(crate) const REGION_UNIT: &str = "region";
/// Organizational unit in a rack's certificate.
pub(crate) const RACK_UNIT: &str = "rack";
/// … in that of a database cluster's member.
const MEMBER_UNIT: &str = "database";
const CA_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca-key.pem";
const NAME_MAX: usize = 64;

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file could not be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Making or reading a certificate failed.
    #[error("cannot make the certificate")]
    Certificate(#[from] rcgen::Error),
    /// What was given is not what it should be.
    #[error("{0}")]
    Malformed(String),
}

impl CaError {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

/// A new key, and the request to have it certified (PKCS #10). The key stays where it was made.
#[derive(Debug)]
pub struct KeyRequest {
    /// Private key, PKCS #8 PEM.
    pub key_pem: Secret<String>,
    /// Certificate signing request, PEM. What it asks for is ignored: the authority decides the name.
    pub request_pem: String,
}

impl KeyRequest {
    /// Makes a key.
    pub fn new() -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?;
        Ok(Self { key_pem: Secret::new(key.serialize_pem()), request_pem: request.pem()? })
    }
}

/// The authority.
pub struct Ca {
    certificate_pem: String,
    key_pem: Secret<String>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

impl Ca {
    /// A new authority.
    pub fn create() -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let mut params = params(ORGANIZATION, "authority", "Rackwright authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Self::from_pem(certificate.pem(), Secret::new(key.serialize_pem()))
    }

    /// From stored PEM: certificate and private key.
    pub fn from_pem(certificate_pem: String, key_pem: Secret<String>) -> Result<Self, CaError> {
        let key = KeyPair::from_pem(key_pem.expose())?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)?;
        Ok(Self { certificate_pem, key_pem, issuer })
    }

    /// Reads `ca.pem` and `ca-key.pem` from a folder.
    pub fn load(dir: &Path) -> Result<Self, CaError> {
        Self::from_pem(read(&dir.join(CA_FILE))?, Secret::new(read(&dir.join(KEY_FILE))?))
    }

    /// Writes both files; the key is readable by its owner only.
    pub fn save(&self, dir: &Path) -> Result<(), CaError> {
        std::fs::create_dir_all(dir).map_err(|e| CaError::file(dir, e))?;
        write(&dir.join(KEY_FILE), self.key_pem.expose(), 0o600)?;
        write(&dir.join(CA_FILE), &self.certificate_pem, 0o644)
    }

    /// The authority of a folder, made there when it has none yet.
    pub fn load_or_create(dir: &Path) -> Result<Self, CaError> {
        if dir.join(CA_FILE).exists() {
            return Self::load(dir);
        }
        let ca = Self::create()?;
        ca.save(dir)?;
        Ok(ca)
    }

    /// Its certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key, PEM.
    pub fn key_pem(&self) -> &Secret<String> {
        &self.key_pem
    }

    /// SHA-256 of its certificate, lower-case hexadecimal.
    pub fn fingerprint(&self) -> Result<String, CaError> {
        fingerprint(&self.certificate_pem)
    }

    /// A certificate for a region that is reached under `names` (host names and IP addresses); the fixed name
    /// [`REGION_NAME`] is added. The region serves with it, and asks other regions with it.
    pub fn issue_region(&self, names: &[String]) -> Result<Credentials, CaError> {
        let mut sans = vec![REGION_NAME.to_owned()];
        sans.extend(names.iter().filter(|n| *n != REGION_NAME).cloned());
        let mut params = params(ORGANIZATION, REGION_UNIT, REGION_NAME);
        params.subject_alt_names = CertificateParams::new(sans)?.subject_alt_names;
        self.issue(params, &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// A key and a client certificate for the rack of this name.
    pub fn issue_rack(&self, name: &str) -> Result<Credentials, CaError> {
        check_rack_name(name)?;
        self.issue(params(ORGANIZATION, RACK_UNIT, name), &[ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// A key and a certificate for a member of the database cluster, with which it serves and asks the others; good for
    /// these host names and addresses.
    pub fn issue_member(&self, name: &str, names: &[String]) -> Result<Credentials, CaError> {
        let mut params = params(ORGANIZATION, MEMBER_UNIT, name);
        params.subject_alt_names = CertificateParams::new(names.to_vec())?.subject_alt_names;
        self.issue(params, &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// A client certificate, PEM, for a rack that made its own key ([`KeyRequest`]).
    pub fn sign_rack(&self, name: &str, request_pem: &str) -> Result<String, CaError> {
        check_rack_name(name)?;
        let mut request = CertificateSigningRequestParams::from_pem(request_pem)?;
        request.params = leaf(params(ORGANIZATION, RACK_UNIT, name), &[ExtendedKeyUsagePurpose::ClientAuth]);
        Ok(request.signed_by(&self.issuer)?.pem())
    }

    fn issue(
        &self,
        params: CertificateParams,
        usages: &[ExtendedKeyUsagePurpose],
    ) -> Result<Credentials, CaError> {
        let key = KeyPair::generate()?;
        let certificate = leaf(params, usages).signed_by(&key, &self.issuer)?;
        Ok(Credentials {
            ca_pem: self.certificate_pem.clone(),
            certificate_pem: certificate.pem(),
            key_pem: Secret::new(key.serialize_pem()),
        })
    }
}

fn check_rack_name(name: &str) -> Result<(), CaError> {
    let printable = name.bytes().all(|b| b.is_ascii_graphic());
    if !name.is_empty() && name.len() <= NAME_MAX && printable {
        return Ok(());
    }
    Err(CaError::Malformed(format!(
        "`{name}` is not a rack name: 1 to {NAME_MAX} printable ASCII characters, no spaces"
    )))
}

/// The authority's name must differ from every other subject, or OpenSSL takes a leaf for self-signed.
fn params(organization: &str, unit: &str, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, organization);
    subject.push(DnType::OrganizationalUnitName, unit);
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = OffsetDateTime::now_utc().saturating_add(time::Duration::days(30 * 365));
    params
}

fn leaf(mut params: CertificateParams, usages: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages.to_vec();
    params.use_authority_key_identifier_extension = true;
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer_rack_name;
    use x509_parser::pem::parse_x509_pem;

    fn der(pem: &str) -> Vec<u8> {
        parse_x509_pem(pem.as_bytes()).unwrap().1.contents
    }

    #[test]
    fn a_rack_is_known_by_its_common_name_and_a_region_is_no_rack() {
        let ca = Ca::create().unwrap();
        let rack = ca.issue_rack("rack-7").unwrap();
        assert_eq!(peer_rack_name(&[der(&rack.certificate_pem)]), Some("rack-7".to_owned()));
        let region = ca.issue_region(&["10.0.0.1".to_owned()]).unwrap();
        assert_eq!(peer_rack_name(&[der(&region.certificate_pem)]), None);
        assert_eq!(peer_rack_name::<Vec<u8>>(&[]), None);
        assert_eq!(peer_rack_name(&[b"rubbish"]), None);
    }

    #[test]
    fn the_authority_decides_the_name_whatever_the_request_says() {
        let ca = Ca::create().unwrap();
        let request = KeyRequest::new().unwrap();
        let certificate = ca.sign_rack("rack-1", &request.request_pem).unwrap();
        assert_eq!(peer_rack_name(&[der(&certificate)]), Some("rack-1".to_owned()));
    }

    #[test]
    fn names_that_could_mislead_are_refused() {
        let ca = Ca::create().unwrap();
        for name in ["", "a b", "rack\n", &"x".repeat(65)] {
            assert!(ca.issue_rack(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_stored_authority_signs_on_and_its_key_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let first = Ca::load_or_create(dir.path()).unwrap();
        let second = Ca::load_or_create(dir.path()).unwrap();
        assert_eq!(first.fingerprint().unwrap(), second.fingerprint().unwrap());
        assert_eq!(first.fingerprint().unwrap().len(), 64);
        let mode = std::fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        second.issue_rack("late").unwrap();
        assert!(!format!("{second:?}").contains("PRIVATE"));
    }
}
