//! `rackwright login` and `rackwright logout`.

use crate::client::{Client, Connection, DEFAULT_URL};
use crate::console::print;
use crate::profile;
use anyhow::{Context, Result, bail};
use rackwright_common::Secret;
use rackwright_region::model::user::{CreatedToken, Login as Credentials, NewToken, Session};
use reqwest::Method;
use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

/// Keep a region's address and an API token for later commands.
///
/// With `--token` or `--token-file` that token is kept. Otherwise name and password are asked for, and a new token is
/// made with them; the password itself is not kept.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// Login name; asked for when absent.
    name: Option<String>,
}

impl Login {
    /// Does it.
    pub async fn run(self, connection: Connection) -> Result<()> {
        let url = connection.url.clone().unwrap_or_else(|| DEFAULT_URL.to_owned());
        let ca = connection.ca.map(std::path::absolute).transpose()?;
        let client = Client::anonymous(&url, ca.as_deref())?;
        let token = match (connection.token, connection.token_file) {
            (Some(token), _) => token,
            (None, Some(file)) => profile::read_token(&file)?,
            (None, None) => make_token(&client, self.name).await?,
        };
        let client = client.with_token(token.clone());
        let session: Session = client.get("/session").await?;
        let path = profile::store(client.url(), &token, ca)?;
        print(&format!(
            "You are {} ({}) at {url}. Kept in {}.",
            session.user.name,
            session.user.role,
            path.display()
        ))
    }
}

async fn make_token(client: &Client, name: Option<String>) -> Result<Secret<String>> {
    let name = match name {
        Some(name) => name,
        None => ask("Name: ", false)?.expose().clone(),
    };
    let password = ask("Password: ", true)?;
    let request = client.request(Method::POST, "/session").json(&Credentials { name, password });
    let response = client.open(request).await?;
    let set = response.headers().get("set-cookie").and_then(|v| v.to_str().ok());
    let cookie = set.and_then(|c| c.split(';').next()).context("the region gave no session")?.to_owned();
    let session: Session = response.json().await.context("the region's answer makes no sense")?;
    let csrf = session.csrf.context("the region gave no CSRF token")?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let now = rackwright_region::model::Timestamp(time::OffsetDateTime::now_utc());
    let unique = now.0.nanosecond() / 1000;
    let body = NewToken {
        name: format!("command line on {}, {now}.{unique:06}", host.trim()),
        days: None,
        role: None,
    };
    let authorized = |method, path: &str| {
        client.request(method, path).header("cookie", &cookie).header("x-csrf-token", &csrf)
    };
    let made: CreatedToken = client.send_keyed(authorized(Method::POST, "/tokens").json(&body)).await?;
    let () = client.send(authorized(Method::DELETE, "/session")).await?;
    Ok(made.secret)
}

/// Asks on the terminal; a secret is not echoed. Without a terminal it reads a line.
fn ask(question: &str, secret: bool) -> Result<Secret<String>> {
    let terminal = std::io::stdin().is_terminal();
    let echo = |on: bool| {
        let mode = if on { "echo" } else { "-echo" };
        Command::new("stty").arg(mode).stdin(Stdio::inherit()).status().is_ok_and(|s| s.success())
    };
    if terminal {
        eprint!("{question}");
        std::io::stderr().flush()?;
        if secret && !echo(false) {
            bail!("the terminal's echo cannot be turned off; use --token-file");
        }
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if terminal && secret {
        echo(true);
        eprintln!();
    }
    read?;
    let line = line.trim_end_matches(['\r', '\n']).to_owned();
    if line.is_empty() { bail!("nothing was typed") } else { Ok(Secret::new(line)) }
}

/// Forget what `login` kept. The token stays valid; `rackwright token delete` ends it.
#[derive(Debug, clap::Args)]
pub struct Logout {}

impl Logout {
    /// Does it.
    pub fn run(self) -> Result<()> {
        print(if profile::forget()? { "Forgotten." } else { "There was nothing to forget." })
    }
}
