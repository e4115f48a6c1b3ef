//! The certificate that the region shows: from files, read again when they change, or of the site's own authority.

use rackwright_link::{Ca, CaError};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// `tls` in `region.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`tls` is \"own\" or { certificate = \"FILE\", key = \"FILE\" }")]
pub enum TlsSetting {
    /// `"own"`.
    Own(Own),
    /// Files of somebody else's authority.
    Files(TlsFiles),
}

/// A certificate of the site's own authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Own {
    /// The only word there is.
    Own,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{path} holds no {what} in PEM, or cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// The cause.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key do not fit, or cannot be used.
    #[error("the certificate and its key cannot be used together")]
    Unfit(#[from] rustls::Error),
    /// The own authority does not make one.
    #[error("the region's own authority makes no certificate")]
    Ca(#[from] CaError),
}

/// Where TLS configurations come from.
pub struct Tls(Source);

enum Source {
    Files { files: TlsFiles, now: Mutex<Loaded> },
    Own { ca: Arc<Ca>, names: Vec<String>, made: Mutex<HashMap<IpAddr, Arc<ServerConfig>>> },
}

struct Loaded {
    config: Arc<ServerConfig>,
    stamp: Stamp,
}

/// When both files were written, and how long they are.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Source::Files { files, .. } => f.debug_tuple("Tls").field(files).finish(),
            Source::Own { names, .. } => f.debug_tuple("Tls").field(names).finish(),
        }
    }
}

impl Tls {
    /// From files, which must be good now.
    pub fn files(files: TlsFiles) -> Result<Self, TlsError> {
        let stamp = stamp(&files);
        let config = load(&files)?;
        Ok(Self(Source::Files { files, now: Mutex::new(Loaded { config, stamp }) }))
    }

    /// Certificates of the site's authority for `names`, and for whichever of the box's addresses is asked at.
    pub fn own(ca: Arc<Ca>, names: Vec<String>) -> Self {
        Self(Source::Own { ca, names, made: Mutex::default() })
    }

    /// What to show to a client that has connected to `local`.
    pub fn config(&self, local: IpAddr) -> Result<Arc<ServerConfig>, TlsError> {
        match &self.0 {
            Source::Files { now, .. } => {
                Ok(now.lock().unwrap_or_else(PoisonError::into_inner).config.clone())
            }
            Source::Own { ca, names, made } => {
                let local = local.to_canonical();
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(config) = made.get(&local) {
                    return Ok(config.clone());
                }
                let mut names = names.clone();
                names.push(local.to_string());
                let issued = ca.issue_region(&names)?;
                let config = config(issued.certificate_pem.as_bytes(), issued.key_pem.expose().as_bytes())?;
                made.insert(local, config.clone());
                Ok(config)
            }
        }
    }

    /// Looks after the files, without end.
    pub async fn watch(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.reread();
        }
    }

    /// Reads files again that have changed. Those that are not good are said and left alone: what was good stays in
    /// use, until the next change.
    pub fn reread(&self) {
        let Source::Files { files, now } = &self.0 else { return };
        let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = stamp(files);
        if seen == now.stamp {
            return;
        }
        now.stamp = seen;
        match load(files) {
            Ok(config) => {
                now.config = config;
                tracing::info!(certificate = %files.certificate.display(), "the certificate was read again");
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the changed certificate is not good; the one before stays in use"
            ),
        }
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    })
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let read = |path: &Path, what| {
        std::fs::read(path).map_err(|e| TlsError::File {
            path: path.to_owned(),
            what,
            source: pem::Error::Io(e),
        })
    };
    let certificate = read(&files.certificate, "certificate")?;
    let key = read(&files.key, "private key")?;
    config(&certificate, &key).map_err(|error| match error {
        TlsError::File { what: "certificate", source, .. } => {
            TlsError::File { path: files.certificate.clone(), what: "certificate", source }
        }
        TlsError::File { what, source, .. } => TlsError::File { path: files.key.clone(), what, source },
        other => other,
    })
}

fn config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let no = |what| move |source| TlsError::File { path: PathBuf::new(), what, source };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().map_err(no("certificate"))?;
    if chain.is_empty() {
        return Err(no("certificate")(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(no("private key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_a_word_or_two_files() {
        let read = |text: &str| serde_json::from_str::<TlsSetting>(text);
        assert_eq!(read("\"own\"").unwrap(), TlsSetting::Own(Own::Own));
        let files = TlsFiles { certificate: "/c".into(), key: "/k".into() };
        assert_eq!(read(r#"{"certificate": "/c", "key": "/k"}"#).unwrap(), TlsSetting::Files(files));
        for wrong in
            ["\"mine\"", "true", r#"{"certificate": "/c"}"#, r#"{"certificate": "/c", "key": "/k", "x": 1}"#]
        {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("`tls` is \"own\" or"), "{wrong}: {error}");
        }
    }

    #[test]
    fn files_that_do_not_fit_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("c"), key: folder.path().join("k") };
        let refused = |files: &TlsFiles| Tls::files(files.clone()).unwrap_err().to_string();
        assert!(refused(&files).contains("/c holds no certificate"), "{}", refused(&files));
        let ca = Ca::create().unwrap();
        let [one, other] = ["a", "b"].map(|name| ca.issue_region(&[name.to_owned()]).unwrap());
        std::fs::write(&files.certificate, &one.certificate_pem).unwrap();
        std::fs::write(&files.key, "nothing").unwrap();
        assert!(refused(&files).contains("/k holds no private key"), "{}", refused(&files));
        std::fs::write(&files.key, other.key_pem.expose()).unwrap();
        assert!(refused(&files).contains("cannot be used together"), "{}", refused(&files));
        std::fs::write(&files.key, one.key_pem.expose()).unwrap();
        Tls::files(files).unwrap();
    }
}
