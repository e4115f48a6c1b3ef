//! A site of several boxes in the lab: a database, regions and racks, each on a host of its own, set up by the commands
//! that an operator types.
//!
//! The plan is [`LabPlan::with_controllers`]. Every region and rack is known by its host's name, and so are its process,
//! its log and its folder. The operator works on `ctl`.

use crate::site::{Ended, SHORT};
use anyhow::{Context, Result, bail, ensure};
use rackwright_lab::lab::TemporaryLab;
use rackwright_lab::process::ProcessId;
use rackwright_lab::{Lab, LabPlan, Machine, Signal, poll, process, state};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const PASSWORD: &str = "lab-secret";

/// The site. Everything goes when this value is dropped.
pub struct Controllers {
    lab: TemporaryLab,
    program: PathBuf,
}

impl Controllers {
    /// A lab with one database host and so many hosts for regions and racks; nothing runs yet.
    pub fn new(prefix: &str, regions: u8, racks: u8, machines: Vec<Machine>) -> Result<Self> {
        let program =
            std::env::var_os("RACKWRIGHT_TEST_PROGRAM").context("`cargo xtask test --only e2e` sets it")?;
        let plan = LabPlan::with_controllers(1, regions, racks, machines);
        Ok(Self { lab: Lab::temporary(prefix, plan)?, program: PathBuf::from(program) })
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// What the box of this name keeps.
    pub fn folder(&self, host: &str) -> PathBuf {
        self.lab.state().data().join(host)
    }

    /// The settings file of the box of this name.
    pub fn settings(&self, host: &str) -> PathBuf {
        self.folder(host).join("settings.toml")
    }

    /// The address of a host on the VLAN where controllers reach each other.
    pub fn address(&self, host: &str) -> Result<String> {
        let found = self.lab.plan().hosts.iter().find(|h| h.name == host).context("no such host")?;
        let address = &found.nics[0].addresses[0];
        Ok(address.split('/').next().unwrap_or_default().to_owned())
    }

    /// Where a region's API is.
    pub fn url(&self, region: &str) -> Result<String> {
        Ok(format!("http://{}:5240", self.address(region)?))
    }

    /// How regions reach the database on this host.
    pub fn database_url(&self, host: &str) -> Result<String> {
        Ok(format!("postgres://rackwright:{PASSWORD}@{}/rackwright", self.address(host)?))
    }

    /// Makes a PostgreSQL on a host, that asks for a password, and an empty database in it.
    pub fn start_database(&self, host: &str) -> Result<()> {
        let folder = self.folder(host);
        let make = r#"
            set -e
            bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
            mkdir -p "$1" && chown nobody "$1" && chmod 700 "$1"
            as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
            cd /
            $as sh -c 'umask 077 && cat >"$0"' "$1/password"
            $as "$bin/initdb" -D "$1/data" -U rackwright -A scram-sha-256 --pwfile="$1/password" --no-sync >"$1/initdb.log"
            echo "host all all 10.79.0.0/24 scram-sha-256" >>"$1/data/pg_hba.conf"
            echo "$bin"
        "#;
        let mut shell = Command::new("sh")
            .args(["-c", make, "sh"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        shell.stdin.take().context("standard input")?.write_all(PASSWORD.as_bytes())?;
        let output = shell.wait_with_output()?;
        ensure!(output.status.success(), "initdb on {host}");
        let bin = String::from_utf8(output.stdout)?.trim().to_owned();
        self.run_database(host, &bin)?;
        poll::until(SHORT, "the database to be made", || {
            let made = self.sql(host, "postgres", "CREATE DATABASE rackwright");
            match made {
                Ok(_) => Ok(Some(())),
                Err(error) if error.to_string().contains("already exists") => Ok(Some(())),
                Err(error) => Err(error),
            }
        })
    }

    fn run_database(&self, host: &str, bin: &str) -> Result<ProcessId> {
        let mut server = self.lab.exec(host, "setpriv");
        server.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(format!("{bin}/postgres"));
        server.arg("-D").arg(self.folder(host).join("data")).args(["-c", "listen_addresses=*"]);
        server.args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=200"]);
        self.lab.spawn(host, server.current_dir("/"))
    }

    /// What one statement tells.
    pub fn sql(&self, host: &str, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.lab.exec("ctl", "psql");
        psql.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "rackwright", "-d", database, "-c", sql]);
        psql.args(["-h", &self.address(host)?]).env("PGPASSWORD", PASSWORD).env("PGCONNECT_TIMEOUT", "5");
        let output = psql.output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{error}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// `rackwright` on a host.
    pub fn rackwright(&self, host: &str, arguments: &[&str]) -> Command {
        let mut command = self.lab.exec(host, &self.program.to_string_lossy());
        command.args(arguments);
        command
    }

    /// Writes the settings of the first region by hand, as the guide says, and starts it.
    pub fn start_first_region(&self, host: &str, database: &str) -> Result<()> {
        let data = self.folder(host);
        std::fs::create_dir_all(&data)?;
        let settings = format!(
            "name = \"{host}\"\ndata = \"{}\"\ndatabase_url = \"{}\"\nstream_address = \"{}:5241\"\nserve_new_networks = true\n",
            data.display(),
            self.database_url(database)?,
            self.address(host)?
        );
        state::write_private(&self.settings(host), settings.as_bytes())?;
        self.start_region(host)
    }

    /// Starts a region that has its settings, and waits until it is ready.
    pub fn start_region(&self, host: &str) -> Result<()> {
        let settings = self.settings(host);
        let mut command = self.rackwright(host, &["region", "--config"]);
        let running = self.lab.spawn(host, command.arg(settings))?;
        self.until_ready(host, &running)
    }

    fn until_ready(&self, host: &str, running: &ProcessId) -> Result<()> {
        poll::until(SHORT, &format!("{host} to be ready"), || {
            if !running.is_alive() {
                return Ok(Some(Err(anyhow::anyhow!("it ended: {}", self.log_tail(host)))));
            }
            let (status, body) = self.get(host, "/readyz")?;
            ensure!(status == 200, "{status} {body}");
            Ok(Some(Ok(())))
        })?
    }

    /// A token for a further region, from one that runs.
    pub fn region_token(&self, from: &str, name: &str) -> Result<String> {
        self.token(from, &["region", "token", name])
    }

    fn token(&self, from: &str, arguments: &[&str]) -> Result<String> {
        let told = self.ask(from, arguments)?;
        Ok(told["token"].as_str().context("no token")?.to_owned())
    }

    /// `rackwright region join` on a blank box.
    pub fn join(&self, host: &str, token: &str, further: &[&str]) -> Result<Ended> {
        let mut command = self.rackwright(host, &["region", "join", "-", "--data"]);
        command.arg(self.folder(host)).arg("--config").arg(self.settings(host)).args(further);
        with_input(&mut command, token)
    }

    /// `rackwright rack token` and `enroll`, and a rack that runs.
    pub fn start_rack(&self, from: &str, host: &str) -> Result<()> {
        let token = self.token(from, &["rack", "token", host])?;
        let mut command = self.rackwright(host, &["rack", "enroll", "-", "--interface", "eth1", "--data"]);
        command.arg(self.folder(host)).arg("--config").arg(self.settings(host));
        let ended = with_input(&mut command, &token)?;
        ensure!(ended.code == 0, "rack enroll: {}", ended.error);
        self.restart_rack(host)
    }

    /// Starts a rack that was enrolled.
    pub fn restart_rack(&self, host: &str) -> Result<()> {
        let mut command = self.rackwright(host, &["rack", "--config"]);
        self.lab.spawn(host, command.arg(self.settings(host)))?;
        Ok(())
    }

    /// A controller's or database's process.
    pub fn process(&self, host: &str) -> Result<ProcessId> {
        self.lab.process(host).with_context(|| format!("{host} does not run: {}", self.log_tail(host)))
    }

    /// Kills it as a power cut would.
    pub fn kill(&self, host: &str) -> Result<()> {
        let running = self.process(host)?;
        running.signal(Signal::SIGKILL);
        running.wait(Duration::from_secs(10))
    }

    /// Cuts the power of the box: its cables go first, so that nobody hears a goodbye.
    pub fn cut_power(&self, host: &str) -> Result<()> {
        self.set_cables(host, false)?;
        self.kill(host)
    }

    /// Plugs or unplugs all cables of a box.
    pub fn set_cables(&self, host: &str, up: bool) -> Result<()> {
        let found = self.lab.plan().hosts.iter().find(|h| h.name == host).context("no such host")?;
        found.nics.iter().try_for_each(|nic| self.lab.set_host_link(host, &nic.name, up))
    }

    /// Stops it in order.
    pub fn stop(&self, host: &str) -> Result<()> {
        self.process(host)?.stop(Duration::from_secs(30))
    }

    /// The last lines that it wrote.
    pub fn log_tail(&self, host: &str) -> String {
        process::tail(&self.lab.process_log(host), 20)
    }

    /// The operator's client, asking this region as the administrator.
    pub fn client(&self, region: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = self.rackwright("ctl", arguments);
        command.env("RACKWRIGHT_URL", self.url(region)?);
        command.env("RACKWRIGHT_TOKEN_FILE", self.folder("region-1").join("admin.token"));
        Ok(command)
    }

    /// Runs the operator's client and reads its answer.
    pub fn ask(&self, region: &str, arguments: &[&str]) -> Result<Value> {
        let output = self.client(region, arguments)?.args(["-o", "json"]).output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "rackwright {arguments:?}: {error}");
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// Runs the operator's client, whatever comes of it.
    pub fn attempt(&self, region: &str, arguments: &[&str]) -> Result<Ended> {
        let output = self.client(region, arguments)?.output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Ended { code: output.status.code().unwrap_or(-1), error })
    }

    /// Status and body of a path of a region, without a token.
    pub fn get(&self, region: &str, path: &str) -> Result<(u16, String)> {
        let mut curl = self.lab.exec("ctl", "curl");
        let output = curl
            .args(["-s", "-S", "-m", "10", "-w", "\n%{http_code}"])
            .arg(self.url(region)? + path)
            .output()?;
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr).trim());
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, status) = text.rsplit_once('\n').context("what curl was asked to write at the end")?;
        Ok((status.parse()?, body.trim().to_owned()))
    }

    /// Gives a region the images of `.lab/cache`, which `cargo xtask demo` builds.
    pub fn load_images(&self, region: &str, names: &[&str]) -> Result<()> {
        for name in names {
            let folder = state::root().join("cache").join(name);
            let ended = self.attempt(region, &["image", "load", &folder.to_string_lossy()])?;
            ensure!(ended.code == 0, "image load {}: {}", folder.display(), ended.error);
        }
        Ok(())
    }

    /// Sets how a machine's BMC is reached.
    pub fn set_bmc(&self, region: &str, id: &str, machine: &str) -> Result<()> {
        let handle = self.lab.machine(machine)?;
        let bmc = handle.plan().bmc.as_ref().context("it has no BMC")?;
        let address = bmc.address.to_string();
        let mut set =
            self.client(region, &["machine", "bmc", id, "--bmc", "ipmi", "--bmc-address", &address])?;
        let output =
            set.args(["--bmc-user", &bmc.user]).env("RACKWRIGHT_BMC_PASSWORD", &bmc.password.0).output()?;
        ensure!(output.status.success(), "machine bmc: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// What `region show` tells of one, asked of another.
    pub fn region(&self, from: &str, name: &str) -> Result<Value> {
        self.ask(from, &["region", "show", name])
    }

    /// Waits until a machine is as wanted, asking this region. A failed status ends the wait.
    pub fn until(
        &self,
        from: &str,
        id: &str,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        poll::until(limit, what, || {
            let machine = self.ask(from, &["machine", "show", id])?;
            if wanted(&machine) {
                return Ok(Some(Ok(machine)));
            }
            if machine["status"].as_str().unwrap_or_default().starts_with("failed") {
                return Ok(Some(Err(anyhow::anyhow!("it failed: {}", machine["status_message"]))));
            }
            bail!("{} {}", machine["status"], machine["operation"])
        })?
    }
}

/// Runs a command with something at its standard input.
fn with_input(command: &mut Command, input: &str) -> Result<Ended> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Ended { code: output.status.code().unwrap_or(-1), error })
}
