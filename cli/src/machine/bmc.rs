//! `rackwright machine bmc`

use super::Which;
use crate::console::Console;
use crate::profile::read_token;
use anyhow::{Context, Result, bail};
use rackwright_common::Secret;
use rackwright_common::bmc::{BmcSettings, DriverKind};
use rackwright_region::model::machine::{BmcView, NewBmc};
use std::path::PathBuf;

/// How a BMC is reached.
#[derive(Debug, clap::Args)]
pub struct BmcOptions {
    /// Protocol: `ipmi`, `amt` or `manual`.
    #[arg(long, value_name = "DRIVER")]
    bmc: Option<DriverKind>,
    /// Host name or address.
    #[arg(long, requires = "bmc", default_value = "")]
    bmc_address: String,
    /// Port; the protocol's own when absent.
    #[arg(long, requires = "bmc")]
    bmc_port: Option<u16>,
    /// User name.
    #[arg(long, requires = "bmc", default_value = "")]
    bmc_user: String,
    /// File that holds the password; `RACKWRIGHT_BMC_PASSWORD` is read without it.
    #[arg(long, requires = "bmc")]
    bmc_password_file: Option<PathBuf>,
    /// IPMI cipher suite: 3 or 17; both are tried when absent.
    #[arg(long, requires = "bmc")]
    bmc_cipher_suite: Option<u8>,
    /// File that holds IPMI's K_g, hexadecimal.
    #[arg(long, requires = "bmc")]
    bmc_kg_file: Option<PathBuf>,
    /// Log in as an operator instead of an administrator (IPMI).
    #[arg(long, requires = "bmc")]
    bmc_operator: bool,
    /// Use TLS (AMT).
    #[arg(long, requires = "bmc")]
    bmc_tls: bool,
    /// SHA-256 of its certificate, hexadecimal; any is taken without (AMT).
    #[arg(long, requires = "bmc")]
    bmc_certificate_sha256: Option<String>,
}

impl BmcOptions {
    /// What they say, if they say anything.
    pub fn build(&self) -> Result<Option<NewBmc>> {
        let Some(driver) = self.bmc else { return Ok(None) };
        let password = match &self.bmc_password_file {
            Some(file) => read_token(file)?,
            None => Secret::new(std::env::var("RACKWRIGHT_BMC_PASSWORD").unwrap_or_default()),
        };
        let kg = self.bmc_kg_file.as_ref().map(|f| read_token(f)).transpose()?.unwrap_or_default();
        let settings = BmcSettings {
            cipher_suite: self.bmc_cipher_suite,
            kg,
            operator: self.bmc_operator,
            tls: self.bmc_tls,
            certificate_sha256: self.bmc_certificate_sha256.clone(),
        };
        Ok(Some(NewBmc {
            driver,
            address: self.bmc_address.clone(),
            port: self.bmc_port,
            username: self.bmc_user.clone(),
            password,
            settings,
        }))
    }
}

/// Set how a machine's BMC is reached. Without a password the stored one stays.
#[derive(Debug, clap::Args)]
pub struct Bmc {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    options: BmcOptions,
}

impl Bmc {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let Some(new) = self.options.build()? else { bail!("name the protocol: --bmc ipmi, amt or manual") };
        let path = self.which.path(console).await?;
        let view: BmcView =
            console.client.put(&format!("{path}/bmc"), &new).await.context("the BMC was not set")?;
        console.show(&view, |b| format!("{} reaches {} {}", self.which.machine, b.driver, b.address))
    }
}
