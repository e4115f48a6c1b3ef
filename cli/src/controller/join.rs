//! `rackwright region join`: a blank box becomes one more region.
//!
//! What holds: what can be wrong with this box is found before a region is asked, because the token is good once; what
//! comes back is believed because only a region that knows the token can have made it, and because the authority in it
//! has the fingerprint in the token. The settings are written last: a box that has them has everything.

use super::settle::{hand_over, hand_over_one, prepare, stored, write_whole};
use super::token;
use crate::client::{Client, ClientError};
use crate::console::Console;
use anyhow::{Context, Result, bail, ensure};
use rackwright_common::Secret;
use rackwright_link::Ca;
use rackwright_region::config::RegionConfig;
use rackwright_region::db::region::{self, Looked};
use rackwright_region::db::{root_certificate, with_root_certificate};
use rackwright_region::model::controller_token::{Controller, TokenContent};
use rackwright_region::model::region_token::{Exchange, RegionRequest, RegionSecrets, RegionWelcome};
use reqwest::Method;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};

/// Makes this box a region: gets the site's keys with a token, and writes the configuration. `rackwright region` then
/// runs it.
#[derive(Debug, clap::Args)]
pub struct Join {
    /// What `rackwright region token` printed; `-` reads it from standard input.
    #[arg(id = "region_token", value_name = "TOKEN")]
    token: String,
    /// Folder for the keys, the administrator's token and the image store; it must hold no region's keys yet.
    #[arg(long, default_value = "/var/lib/rackwright/region")]
    data: PathBuf,
    /// How this box reaches the database, when that differs from how the other regions do. Better in the variable: others
    /// see arguments.
    #[arg(long, env = "RACKWRIGHT_JOIN_DATABASE_URL", hide_env_values = true)]
    database_url: Option<Secret<String>>,
    /// `host:port` under which racks and other regions reach this one; the address from which this box reaches the region
    /// in the token when absent.
    #[arg(long)]
    stream_address: Option<String>,
    /// Configuration file to write; other settings that it holds stay.
    #[arg(id = "file", long = "config", value_name = "FILE", default_value = "/etc/rackwright/region.toml")]
    config: PathBuf,
}

impl Join {
    /// From the token to a region that can be started.
    pub async fn run(self, console: &Console) -> Result<()> {
        let token = token::read(Controller::Region, &self.token)?;
        let mut table = stored(&self.config)?;
        let config = self.configure(&mut table, &token)?;
        check_blank(&config.data)?;
        prepare(&config.data)?;
        prepare(self.config.parent().context("--config has no folder")?)?;
        let given = ask(&token).await?;
        let ca = check(&token, &given)?;
        ca.save(&config.data.join("ca"))?;
        let key = format!("{}\n", given.master_key.expose());
        write_whole(&config.data.join("master.key"), &key, 0o600)?;
        let url = self.database_url.as_ref().unwrap_or(&given.database_url).expose();
        let url = with_authority(url, given.database_ca.as_deref(), &config.data)?;
        let in_common = given.settings.iter().filter(|(key, _)| !table.contains_key(*key));
        let mut in_common: Vec<(String, toml::Value)> = in_common.filter_map(as_toml).collect();
        in_common.push(("database_url".into(), url.clone().into()));
        table.extend(in_common);
        let config: RegionConfig =
            table.clone().try_into().context("the other region's settings do not fit this version")?;
        hand_over(&config.data)?;
        hand_over(&config.data.join("ca"))?;
        // The database's password is in it.
        write_whole(&self.config, &toml::to_string(&table)?, 0o600)?;
        hand_over_one(&self.config)?;
        look_at_database(&url, &given.region).await.with_context(|| {
            format!(
                "this box has joined as the region {}, and cannot work yet; put it right, `database_url` is in {}, and start it \
                 with `rackwright region`",
                config.name,
                self.config.display()
            )
        })?;
        console.done(&format!(
            "This box is the region {}; start it with `rackwright region --config {}`. Racks and other regions will reach it at {}",
            config.name,
            self.config.display(),
            config.stream_address()
        ))
    }

    /// Puts into the settings what this box decides, and checks all of them.
    fn configure(&self, table: &mut toml::Table, token: &TokenContent) -> Result<RegionConfig> {
        let data = std::path::absolute(&self.data)?;
        table.insert("name".into(), token.name.clone().into());
        table.insert("data".into(), data.to_str().context("the data folder is not UTF-8")?.into());
        let wrong = || format!("a setting in {} is wrong", self.config.display());
        let config: RegionConfig = table.clone().try_into().with_context(wrong)?;
        let stream = match (&self.stream_address, &config.stream_address) {
            (Some(given), _) => given.clone(),
            (None, Some(kept)) => kept.clone(),
            (None, None) => {
                SocketAddr::new(own_address(&token.api)?, config.stream_listen.port()).to_string()
            }
        };
        let fits = stream
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        ensure!(fits, "`{stream}` is not an address for --stream-address: write it as host:port");
        table.insert("stream_address".into(), stream.into());
        table.clone().try_into().with_context(wrong)
    }
}

/// The way to the database, with a file of this box's for the authority of its servers.
fn with_authority(url: &str, authority: Option<&str>, data: &Path) -> Result<String> {
    let (Some(named), Some(authority)) = (root_certificate(url), authority) else {
        return Ok(url.to_owned());
    };
    if named.exists() {
        return Ok(url.to_owned());
    }
    let file = data.join("database-ca.pem");
    write_whole(&file, authority, 0o644)?;
    Ok(with_root_certificate(url, &file))
}

/// A setting of another region, as this one's file has it.
fn as_toml((key, value): (&String, &Value)) -> Option<(String, toml::Value)> {
    Some((key.clone(), toml::Value::try_from(value).ok()?))
}

/// A folder that holds a region's keys is not overwritten: what they have sealed would be lost.
fn check_blank(data: &Path) -> Result<()> {
    for name in ["master.key", "ca"] {
        let path = data.join(name);
        ensure!(
            !path.exists(),
            "{} is there: this box is or was a region, and what its key has sealed would be lost. If nothing of it is needed, \
             move the folder away; else name another one with --data",
            path.display()
        );
    }
    Ok(())
}

/// This box's address on the way to the region. Nothing is sent.
fn own_address(api: &[String]) -> Result<IpAddr> {
    let url = api.first().context("the token names no region")?;
    let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let host = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let found = host.to_socket_addrs().with_context(|| format!("the name in {url} has no address"))?;
    for address in found {
        let any: SocketAddr =
            if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        if let Ok(local) = UdpSocket::bind(any).and_then(|s| s.connect(address).and_then(|()| s.local_addr()))
        {
            return Ok(local.ip());
        }
    }
    bail!("there is no way from this box to {url}; see `ip route`")
}

/// Asks the first region that answers, and proves to hold the secret without showing it.
async fn ask(token: &TokenContent) -> Result<RegionSecrets> {
    let mut silent = None;
    for url in &token.api {
        let exchange = Exchange::new()?;
        let mut body = RegionRequest {
            name: token.name.clone(),
            public_key: exchange.public().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: time::OffsetDateTime::now_utc().unix_timestamp(),
            proof: String::new(),
        };
        body.proof = body.prove(&token.secret);
        // Whoever answers: what it says opens only if it knows the token.
        let region = Client::of_anybody(url)?;
        match region.send(region.request(Method::POST, "/regions/join").json(&body)).await {
            Ok(welcome) => return open(exchange, token, &welcome),
            Err(error) => match error.downcast_ref::<ClientError>() {
                Some(ClientError::Unreachable { .. }) => silent = Some(error),
                Some(ClientError::Problem { status: 401, .. }) => bail!(
                    "the region does not take this token: it was used, or has expired; make a new one with \
                     `rackwright region token {}`",
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

fn open(exchange: Exchange, token: &TokenContent, welcome: &RegionWelcome) -> Result<RegionSecrets> {
    exchange.open(&token.secret, welcome).with_context(|| not_ours(token))
}

fn not_ours(token: &TokenContent) -> String {
    format!(
        "what answered is not a region of the site that made this token; nothing was written. Find out what answers at {}, \
         then make a new token with `rackwright region token {}`",
        token.api.join(", "),
        token.name
    )
}

/// The authority is the token's, and its key fits.
fn check(token: &TokenContent, given: &RegionSecrets) -> Result<Ca> {
    let ca = Ca::from_pem(given.ca_pem.clone(), given.ca_key_pem.clone())
        .context("the authority that the region sent cannot be used; nothing was written")?;
    ensure!(
        ca.fingerprint()? == token.ca_sha256,
        "{} (the authority's fingerprint differs)",
        not_ours(token)
    );
    Ok(ca)
}

/// The database can be reached from here, is the site's, and takes changes.
async fn look_at_database(url: &str, asked: &str) -> Result<()> {
    let found = match region::look(url).await {
        Ok(found) => found,
        Err(error) => {
            return Err(error).context(
                "the database does not let this box in: open its port to this box, allow the box in pg_hba.conf, or join with \
                 --database-url",
            );
        }
    };
    match found {
        Looked { regions: None, .. } => bail!("the database at `database_url` holds no Rackwright"),
        Looked { regions: Some(regions), .. } if !regions.iter().any(|name| name == asked) => {
            bail!("the database at `database_url` is another site's: it does not know the region {asked}")
        }
        Looked { writable: false, .. } => bail!(
            "the database at `database_url` is read-only, a standby perhaps: name the host that takes changes"
        ),
        Looked { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(ca: &Ca) -> TokenContent {
        TokenContent {
            name: "b".into(),
            api: vec!["http://127.0.0.1:9".into()],
            regions: vec!["127.0.0.1:9".into()],
            ca_sha256: ca.fingerprint().unwrap(),
            secret: Secret::new("x".into()),
        }
    }

    fn join(data: &Path) -> Join {
        Join {
            token: String::new(),
            data: data.to_owned(),
            database_url: None,
            stream_address: None,
            config: "region.toml".into(),
        }
    }

    #[test]
    fn a_box_that_holds_keys_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        check_blank(folder.path()).unwrap();
        std::fs::write(folder.path().join("master.key"), "x").unwrap();
        let error = check_blank(folder.path()).unwrap_err().to_string();
        assert!(error.contains("move the folder away") && error.contains("--data"), "{error}");
    }

    #[test]
    fn other_settings_stay_and_the_address_is_the_one_on_the_way_to_the_region() {
        let token = token(&Ca::create().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let mut table: toml::Table = "workers = 2\nstream_listen = \"0.0.0.0:6000\"".parse().unwrap();
        let config = join(folder.path()).configure(&mut table, &token).unwrap();
        assert_eq!((config.workers, config.name.as_str()), (2, "b"));
        assert_eq!(config.stream_address.as_deref(), Some("127.0.0.1:6000"));
        let wrong = Join { stream_address: Some("10.0.0.1".into()), ..join(folder.path()) };
        let error = wrong.configure(&mut toml::Table::new(), &token).unwrap_err().to_string();
        assert!(error.contains("host:port"), "{error}");
    }

    #[test]
    fn the_databases_authority_comes_along_where_this_box_does_not_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("ca.pem");
        let url = |file: &Path| format!("postgres://u@10.0.0.1,10.0.0.2/x?sslrootcert={}", file.display());
        let moved = with_authority(&url(&there), Some("PEM"), folder.path()).unwrap();
        let file = folder.path().join("database-ca.pem");
        assert_eq!((moved, std::fs::read_to_string(&file).unwrap()), (url(&file), "PEM".to_owned()));
        std::fs::write(&there, "OWN").unwrap();
        assert_eq!(with_authority(&url(&there), Some("PEM"), folder.path()).unwrap(), url(&there));
    }

    #[test]
    fn an_authority_that_is_not_the_tokens_is_refused() {
        let (ca, other) = (Ca::create().unwrap(), Ca::create().unwrap());
        let given = |ca: &Ca, key: &Ca| RegionSecrets {
            master_key: Secret::new("00".repeat(32)),
            ca_pem: ca.certificate_pem().to_owned(),
            ca_key_pem: key.key_pem().clone(),
            database_url: Secret::new("postgres://10.0.0.1/x".into()),
            database_ca: None,
            region: "a".into(),
            settings: serde_json::Map::new(),
        };
        check(&token(&ca), &given(&ca, &ca)).unwrap();
        let error = check(&token(&ca), &given(&other, &other)).unwrap_err().to_string();
        assert!(error.contains("fingerprint differs") && error.contains("region token b"), "{error}");
    }
}
