//! TLS to the servers of a cluster, with each one's own name or address checked.
//!
//! Why here: the pool's library talks to the relay's socket and would check the first host's name, whichever server the
//! connection is carried to. How it begins: PostgreSQL 15, 55.2.11 "SSL Session Encryption".

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Length and code of the request for TLS.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The server is willing.
const WILLING: u8 = b'S';

/// How connections are secured.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// With `sslmode=verify-full`: by the authority that `sslrootcert` names.
    pub fn asked_for(url: &str) -> Result<Option<Self>, sqlx::Error> {
        if parameter(url, &["sslmode", "ssl-mode"]).as_deref() != Some("verify-full") {
            return Ok(None);
        }
        let Some(file) = root_certificate(url) else {
            return Err(wrong(
                "`sslmode=verify-full` needs `sslrootcert=FILE`, the authority of the servers",
            ));
        };
        let roots = roots(&file).map_err(|error| wrong(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = verifier.build().map_err(|error| wrong(&format!("{}: {error}", file.display())))?;
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| wrong(&error.to_string()))?.with_webpki_verifier(verifier);
        Ok(Some(Self(TlsConnector::from(Arc::new(config.with_no_client_auth())))))
    }

    /// Secures a connection to this host.
    pub async fn secure(&self, host: &str, mut stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::new(ErrorKind::InvalidInput, "no name and no address"))?;
        stream.write_all(&REQUEST).await?;
        let mut answer = [0];
        stream.read_exact(&mut answer).await?;
        if answer != [WILLING] {
            return Err(Error::new(ErrorKind::Unsupported, "the server does not speak TLS"));
        }
        self.0.connect(name, stream).await
    }
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let unread = |why: &dyn std::fmt::Display| format!("sslrootcert {}: {why}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unread(&error))? {
        let certificate = certificate.map_err(|error| unread(&error))?;
        roots.add(certificate).map_err(|error| unread(&error))?;
    }
    Ok(roots)
}

/// Names under which a URL says where the servers' authority is.
const ROOT: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];

/// The file with the authority of the servers that a database's URL names.
pub fn root_certificate(url: &str) -> Option<PathBuf> {
    parameter(url, &ROOT).map(PathBuf::from)
}

/// The URL with another file in its place.
pub fn with_root_certificate(url: &str, file: &Path) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let kept = query.split('&').filter(|pair| !pair.is_empty());
    let kept = kept.filter(|pair| !ROOT.contains(&pair.split('=').next().unwrap_or_default()));
    let named = format!("sslrootcert={}", percent_encoded(&file.to_string_lossy()));
    let query: Vec<&str> = kept.chain([named.as_str()]).collect();
    format!("{base}?{}", query.join("&"))
}

/// What may not stand in a query as it is.
fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let code = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(code).collect()
}

/// What the URL says under one of these names.
fn parameter(url: &str, names: &[&str]) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let found =
        query.split('&').filter_map(|pair| pair.split_once('=')).rfind(|(key, _)| names.contains(key));
    found.map(|(_, value)| percent_decoded(value))
}

/// RFC 3986 section 2.1; what is no such code stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wrong(what: &str) -> sqlx::Error {
    sqlx::Error::Configuration(what.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authoritys_file_is_found_and_replaced() {
        let url = "postgres://u@a,b/x?sslrootcert=/etc/a.pem&sslmode=verify-full";
        assert_eq!(root_certificate(url), Some("/etc/a.pem".into()));
        let moved = with_root_certificate(url, Path::new("/var/lib/b c&.pem"));
        assert_eq!(moved, "postgres://u@a,b/x?sslmode=verify-full&sslrootcert=/var/lib/b%20c%26.pem");
        assert_eq!(root_certificate(&moved), Some("/var/lib/b c&.pem".into()));
        assert_eq!(root_certificate("postgres://u@a/x"), None);
        assert_eq!(
            with_root_certificate("postgres://u@a/x", Path::new("/c")),
            "postgres://u@a/x?sslrootcert=/c"
        );
    }

    #[test]
    fn only_verify_full_is_the_relays_own() {
        assert!(Tls::asked_for("postgres://u@a,b/x").unwrap().is_none());
        assert!(Tls::asked_for("postgres://u@a,b/x?sslmode=require").unwrap().is_none());
        let error = |url: &str| Tls::asked_for(url).err().unwrap().to_string();
        assert!(error("postgres://u@a,b/x?sslmode=verify-full").contains("needs `sslrootcert=FILE`"));
        let missing = "postgres://u@a,b/x?sslmode=verify-full&sslrootcert=/nowhere/a%20b.pem";
        assert!(error(missing).contains("/nowhere/a b.pem"), "{}", error(missing));
    }
}
