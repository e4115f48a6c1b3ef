//! PostgreSQL's own programs for backups, told of the database by their environment: a password has no place among
//! arguments.

use super::archive::beside;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A dump in a file of its own, removed with this value.
pub struct Dump(PathBuf);

impl Dump {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Dumps a database as it is at one moment, beside `file`; of a cluster that has no primary, what is left of it.
pub fn dump(url: &str, file: &Path, has_primary: bool) -> Result<Dump> {
    let path = beside(file, "dump");
    if path.exists() {
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let output = File::options().write(true).create_new(true).mode(0o600).open(&path);
    let output = output.with_context(|| format!("cannot write {}", path.display()))?;
    let dump = Dump(path);
    let mut command = program("pg_dump", url)?;
    command.args(["--format=custom", "--no-owner", "--no-privileges"]);
    // What people have typed into consoles and no rack has taken yet is in such a table.
    command.arg("--no-unlogged-table-data");
    if !has_primary {
        command.env("PGTARGETSESSIONATTRS", "any");
    }
    let child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn();
    let ended = child.and_then(std::process::Child::wait_with_output).context("pg_dump cannot be started")?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "pg_dump: {}", said.trim());
    Ok(dump)
}

/// Fills an empty database from a dump, in one transaction.
pub fn fill(url: &str, dump: &mut dyn Read) -> Result<()> {
    let mut command = program("pg_restore", url)?;
    command.args(["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--dbname"]);
    command.arg(parameter(url, "PGDATABASE").context("`database_url` names no database")?);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.context("pg_restore cannot be started")?;
    let mut input = child.stdin.take().context("pg_restore takes no input")?;
    let copied = std::io::copy(dump, &mut input).and_then(|_| input.flush());
    drop(input);
    let ended = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "pg_restore: {}", said.trim());
    copied.context("the backup's database cannot be read to its end")
}

fn program(name: &str, url: &str) -> Result<Command> {
    let mut command = Command::new(find(name)?);
    let parameters = parameters(url)?;
    command.envs(parameters.iter().map(|(name, value)| (*name, value.as_str())));
    // Where PostgreSQL's programs may stand, whoever calls.
    command.current_dir("/");
    Ok(command)
}

/// A program of the newest PostgreSQL on this box, of which the server's part need not be there.
fn find(name: &str) -> Result<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = installed.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let program = entry.path().join("bin").join(name);
        (version >= 15 && program.exists()).then_some((version, program))
    });
    let newest = versions.max().map(|(_, program)| program);
    newest.with_context(|| {
        format!("{name} of PostgreSQL 15 or newer is not installed: install postgresql-client-15")
    })
}

fn parameter(url: &str, wanted: &str) -> Option<String> {
    parameters(url).ok()?.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// A `postgres://` URL as libpq's environment has it (PostgreSQL, "Environment Variables").
fn parameters(url: &str) -> Result<Vec<(&'static str, String)>> {
    let wrong = "`database_url` is not postgres://USER:PASSWORD@HOST/DATABASE";
    let Some(("postgres" | "postgresql", rest)) = url.split_once("://") else { bail!(wrong) };
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = base.split_once('/').unwrap_or((base, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port),
            _ => (host, "5432"),
        };
        names.push(name.trim_start_matches('[').trim_end_matches(']'));
        ports.push(port);
    }
    let mut found = vec![
        ("PGUSER", decode(user)),
        ("PGPASSWORD", decode(password)),
        ("PGHOST", decode(&names.join(","))),
        ("PGPORT", ports.join(",")),
        ("PGDATABASE", decode(database)),
    ];
    if names.len() > 1 {
        found.push(("PGTARGETSESSIONATTRS", "read-write".to_owned()));
        // Hosts are tried one after the other, and one that has lost its power says nothing.
        found.push(("PGCONNECT_TIMEOUT", "3".to_owned()));
    }
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let name = match key {
            "host" => "PGHOST",
            "hostaddr" => "PGHOSTADDR",
            "port" => "PGPORT",
            "user" => "PGUSER",
            "password" => "PGPASSWORD",
            "dbname" => "PGDATABASE",
            "sslmode" | "ssl-mode" => "PGSSLMODE",
            "sslrootcert" | "ssl-root-cert" => "PGSSLROOTCERT",
            "sslcert" | "ssl-cert" => "PGSSLCERT",
            "sslkey" | "ssl-key" => "PGSSLKEY",
            "target_session_attrs" => "PGTARGETSESSIONATTRS",
            "connect_timeout" => "PGCONNECT_TIMEOUT",
            _ => continue,
        };
        found.retain(|(known, _)| *known != name);
        found.push((name, decode(value)));
    }
    found.retain(|(_, value)| !value.is_empty());
    Ok(found)
}

/// Percent-decoding (RFC 3986 section 2.1); what is no such code stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|two| {
            let two = std::str::from_utf8(two).ok()?;
            u8::from_str_radix(two, 16).ok()
        });
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_to_libpq_by_its_environment() {
        let told = |url: &str| {
            let mut told: Vec<_> =
                parameters(url).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            told.sort();
            told.join(" ")
        };
        assert_eq!(
            told("postgres://u:p%40ss%2F@10.0.0.5:6432/site?sslmode=require"),
            "PGDATABASE=site PGHOST=10.0.0.5 PGPASSWORD=p@ss/ PGPORT=6432 PGSSLMODE=require PGUSER=u"
        );
        assert_eq!(
            told("postgres://rackwright@localhost/rackwright?host=/var/lib/x/run"),
            "PGDATABASE=rackwright PGHOST=/var/lib/x/run PGPORT=5432 PGUSER=rackwright"
        );
        assert_eq!(
            told("postgresql://u@a:5432,b,[fd00::1]:6000/x"),
            "PGCONNECT_TIMEOUT=3 PGDATABASE=x PGHOST=a,b,fd00::1 PGPORT=5432,5432,6000 PGTARGETSESSIONATTRS=read-write \
             PGUSER=u"
        );
        assert_eq!(told("postgres:///rackwright"), "PGDATABASE=rackwright");
        assert!(parameters("10.0.0.5/x").is_err());
        assert_eq!(decode("100%"), "100%");
    }
}
