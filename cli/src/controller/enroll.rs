//! `rackwright rack enroll`: a new box becomes a rack.
//!
//! What holds: nothing that comes over the line is believed before the authority's certificate has the fingerprint
//! in the token, and nothing is written before all of it fits together. What can be wrong with this box is found
//! before the region is asked, because the token is good once.

use super::settle::{hand_over, prepare, stored, write_whole};
use super::token;
use crate::client::{Client, ClientError};
use crate::console::Console;
use anyhow::{Context, Result, bail, ensure};
use rackwright_link::{Credentials, KeyRequest, fingerprint, peer_rack_name};
use rackwright_rack::config::RackConfig;
use rackwright_region::model::controller_token::{Controller, TokenContent};
use rackwright_region::model::rack_token::{RackCertificate, RackEnrolment, proof};
use reqwest::Method;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes this box a rack: gets a certificate with a token, and writes the configuration. `rackwright rack` then runs
/// it.
#[derive(Debug, clap::Args)]
pub struct Enroll {
    /// What `rackwright rack token` printed; `-` reads it from standard input.
    #[arg(id = "rack_token", value_name = "TOKEN")]
    token: String,
    /// Folder for everything that the rack keeps.
    #[arg(long, default_value = "/var/lib/rackwright/rack")]
    data: PathBuf,
    /// Interface that machines are on. May be given several times; the configuration's when absent.
    #[arg(long = "interface")]
    interfaces: Vec<String>,
    /// Configuration file to write; other settings that it holds stay.
    #[arg(long, default_value = "/etc/rackwright/rack.toml")]
    config: PathBuf,
}

impl Enroll {
    /// From the token to a rack that can be started.
    pub async fn run(self, console: &Console) -> Result<()> {
        let token = token::read(Controller::Rack, &self.token)?;
        let mut table = stored(&self.config)?;
        let config = self.configure(&mut table, &token, token.regions.clone())?;
        prepare(&config.certificates)?;
        prepare(self.config.parent().context("--config has no folder")?)?;
        let key = KeyRequest::new()?;
        let given = ask(&token, &key).await?;
        let credentials = Credentials {
            ca_pem: given.ca_pem,
            certificate_pem: given.certificate_pem,
            key_pem: key.key_pem,
        };
        check(&token, &credentials)?;
        let config = self.configure(&mut table, &token, given.regions)?;
        credentials.save(&config.certificates)?;
        hand_over(&self.data)?;
        hand_over(&config.certificates)?;
        write_whole(&self.config, &toml::to_string(&table)?, 0o644)?;
        console.done(&format!(
            "This box is the rack {} of {}; start it with `rackwright rack --config {}`",
            config.name,
            config.regions.join(", "),
            self.config.display()
        ))
    }

    /// Puts into the configuration what enrolling decides, and checks all of it.
    fn configure(
        &self,
        table: &mut toml::Table,
        token: &TokenContent,
        regions: Vec<String>,
    ) -> Result<RackConfig> {
        let data = std::path::absolute(&self.data)?;
        let certificates = data.join("certificates");
        let text = |path: &Path| path.to_str().map(str::to_owned).context("the data folder is not UTF-8");
        table.insert("name".into(), token.name.clone().into());
        table.insert("data".into(), text(&data)?.into());
        table.insert("certificates".into(), text(&certificates)?.into());
        table.insert("regions".into(), regions.into());
        if !self.interfaces.is_empty() {
            table.insert("interfaces".into(), self.interfaces.clone().into());
        }
        let config: RackConfig = table
            .clone()
            .try_into()
            .with_context(|| format!("a setting in {} is wrong", self.config.display()))?;
        ensure!(
            !config.interfaces.is_empty(),
            "name the interfaces that machines are on with --interface (see `ip -4 address`)"
        );
        for name in &config.interfaces {
            let exists = !name.contains('/') && Path::new("/sys/class/net").join(name).exists();
            ensure!(exists, "there is no interface `{name}` on this box; see `ip -4 address`");
        }
        config.check().map_err(anyhow::Error::msg)?;
        Ok(config)
    }
}

/// Asks the first region that answers, and proves to hold the secret without showing it.
async fn ask(token: &TokenContent, key: &KeyRequest) -> Result<RackCertificate> {
    let body = RackEnrolment {
        proof: proof(&token.secret, &token.name, &key.request_pem),
        name: token.name.clone(),
        csr_pem: key.request_pem.clone(),
    };
    let mut silent = None;
    for url in &token.api {
        // Whoever answers: what it says is checked against the fingerprint in the token, and it learns no secret.
        let region = Client::of_anybody(url)?;
        // Without a key, which belongs to a user: the token itself is good once.
        match region.send(region.request(Method::POST, "/racks/enroll").json(&body)).await {
            Ok(given) => return Ok(given),
            Err(error) => match error.downcast_ref::<ClientError>() {
                Some(ClientError::Unreachable { .. }) => silent = Some(error),
                Some(ClientError::Problem { status: 401, .. }) => bail!(
                    "the region does not take this token: it was used, or has expired; make a new one with \
                     `rackwright rack token {}`",
                    token.name
                ),
                Some(ClientError::Problem { .. } | ClientError::Untrusted { .. }) | None => {
                    return Err(error);
                }
            },
        }
    }
    Err(silent.context("the token names no region")?)
}

/// The authority is the token's, the certificate is its, for this rack and for this key.
fn check(token: &TokenContent, got: &Credentials) -> Result<()> {
    ensure!(
        fingerprint(&got.ca_pem)? == token.ca_sha256,
        "what answered is not a region of the site that made this token (the authority's fingerprint differs); \
         nothing was written. Find out what answers at {}, then make a new token with `rackwright rack token {}`",
        token.api.join(", "),
        token.name
    );
    let wrong = "the region's answer does not fit this rack; make a new token and try again";
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(got.ca_pem.as_bytes()).context(wrong)?).context(wrong)?;
    let roots = Arc::new(roots);
    let certificate = CertificateDer::from_pem_slice(got.certificate_pem.as_bytes()).context(wrong)?;
    let verifier = WebPkiClientVerifier::builder(roots.clone()).build().context(wrong)?;
    verifier.verify_client_cert(&certificate, &[], UnixTime::now()).context(wrong)?;
    ensure!(peer_rack_name(&[certificate.as_ref()]).as_deref() == Some(token.name.as_str()), "{wrong}");
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(got.key_pem.expose().as_bytes())?;
    // Refuses a certificate of another key.
    rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .context(wrong)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_common::Secret;
    use rackwright_link::Ca;

    fn token(ca: &Ca) -> TokenContent {
        TokenContent {
            name: "rack-1".into(),
            api: vec!["http://127.0.0.1:9".into()],
            regions: vec!["127.0.0.1:9".into()],
            ca_sha256: ca.fingerprint().unwrap(),
            secret: Secret::new("x".into()),
        }
    }

    fn credentials(ca: &Ca, name: &str) -> Credentials {
        let key = KeyRequest::new().unwrap();
        Credentials {
            ca_pem: ca.certificate_pem().to_owned(),
            certificate_pem: ca.sign_rack(name, &key.request_pem).unwrap(),
            key_pem: key.key_pem,
        }
    }

    #[test]
    fn only_what_fits_the_token_and_the_key_is_believed() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let (ca, other) = (Ca::create().unwrap(), Ca::create().unwrap());
        let token = token(&ca);
        let good = credentials(&ca, "rack-1");
        check(&token, &good).unwrap();
        let error = check(&token, &credentials(&other, "rack-1")).unwrap_err().to_string();
        assert!(error.contains("fingerprint differs"), "{error}");
        let by_another = Credentials { ca_pem: good.ca_pem.clone(), ..credentials(&other, "rack-1") };
        assert!(check(&token, &by_another).is_err(), "signed by another authority");
        assert!(check(&token, &credentials(&ca, "rack-2")).is_err(), "for another rack");
        let other_key = Credentials { key_pem: credentials(&ca, "rack-1").key_pem, ..good };
        assert!(check(&token, &other_key).is_err(), "for another key");
    }

    #[test]
    fn other_settings_stay_and_a_missing_interface_is_said_before_the_region_is_asked() {
        let mut enroll = Enroll {
            token: String::new(),
            data: "/var/lib/x".into(),
            interfaces: vec!["lo".into()],
            config: "rack.toml".into(),
        };
        let token = token(&Ca::create().unwrap());
        let mut table: toml::Table = "http_port = 5300".parse().unwrap();
        let config = enroll.configure(&mut table, &token, vec!["10.0.0.1:5241".into()]).unwrap();
        assert_eq!((config.http_port, config.name.as_str()), (5300, "rack-1"));
        assert_eq!(config.certificates, Path::new("/var/lib/x/certificates"));
        enroll.interfaces = vec!["no-such".into()];
        let error = enroll.configure(&mut table, &token, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("no interface `no-such`"), "{error}");
    }
}
