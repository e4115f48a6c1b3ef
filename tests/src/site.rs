//! A small site in the lab: one controller with `rackwright up`, and machines with BMCs.
//!
//! The end-to-end tests speak to it as an operator does: by the `rackwright` client, and by curl where the HTTP
//! answer itself is the matter. What it cannot do is look into the controller's memory or tables.

use anyhow::{Context, Result, bail, ensure};
use rackwright_lab::lab::TemporaryLab;
use rackwright_lab::process::ProcessId;
use rackwright_lab::{Lab, LabPlan, Machine, Signal, poll, process, state};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where the region answers, inside the controller's namespace.
pub const REGION: &str = "http://10.77.0.1:5240";
/// Everything is emulated, and the box may be busy.
pub const LIMIT: Duration = Duration::from_secs(900);
/// For what needs no machine.
pub const SHORT: Duration = Duration::from_secs(60);

/// `rackwright up` on the lab's controller. Everything goes when this value is dropped.
pub struct Site {
    lab: TemporaryLab,
    program: PathBuf,
    arguments: Vec<String>,
    /// What stands before the program on its command line, such as a shell that mounts something.
    before: Vec<String>,
}

/// What an HTTP request was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// The header `Retry-After`, empty without one.
    pub retry_after: String,
    /// Body.
    pub body: String,
}

/// How a command of the client ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// What it said on standard error.
    pub error: String,
}

impl Site {
    /// A lab with these machines; nothing runs yet. `arguments` are for `rackwright up`.
    pub fn new(prefix: &str, machines: Vec<Machine>, arguments: &[&str]) -> Result<Self> {
        Self::with_plan(prefix, LabPlan::with_machines(machines), arguments)
    }

    /// A lab of this plan, which has a host `ctl` for the controller.
    pub fn with_plan(prefix: &str, plan: LabPlan, arguments: &[&str]) -> Result<Self> {
        let program =
            std::env::var_os("RACKWRIGHT_TEST_PROGRAM").context("`cargo xtask test --only e2e` sets it")?;
        Ok(Self {
            lab: Lab::temporary(prefix, plan)?,
            program: PathBuf::from(program),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            before: Vec::new(),
        })
    }

    /// The same site with its data on a disk of its own of so many MiB, in memory. Only the controller sees it, and
    /// it goes with the controller.
    #[must_use]
    pub fn on_small_disk(mut self, mib: u32) -> Self {
        let data = self.lab.state().data();
        let mount = format!("mount -t tmpfs -o size={mib}m,mode=755 lab {} && exec \"$@\"", data.display());
        self.before = ["sh", "-c", &mount, "sh"].map(str::to_owned).to_vec();
        self
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The controller's data folder, as this process reaches it.
    pub fn data(&self) -> PathBuf {
        let data = self.lab.state().data();
        match (self.before.is_empty(), self.lab.process("rackwright")) {
            (false, Some(running)) => {
                PathBuf::from(format!("/proc/{}/root{}", running.pid(), data.display()))
            }
            _ => data,
        }
    }

    /// A command on the controller: `rackwright` with these arguments, as a daemon or as a client.
    pub fn rackwright(&self, arguments: &[&str]) -> Command {
        self.rackwright_on("ctl", arguments)
    }

    /// The same on another host of the lab.
    pub fn rackwright_on(&self, host: &str, arguments: &[&str]) -> Command {
        let mut command = self.lab.exec(host, &self.program.to_string_lossy());
        command.args(arguments);
        command
    }

    /// Starts the controller and waits until it is ready.
    pub fn start(&self) -> Result<()> {
        let running = self.launch()?;
        poll::until(SHORT, "`rackwright up` to be ready", || {
            if !running.is_alive() {
                return Ok(Some(Err(anyhow::anyhow!("it ended: {}", self.log_tail()))));
            }
            let ready = self.get("/readyz")?;
            ensure!(ready.status == 200, "{} {}", ready.status, ready.body);
            Ok(Some(Ok(())))
        })?
    }

    /// Starts the controller and does not wait.
    pub fn launch(&self) -> Result<ProcessId> {
        let program = self.program.to_string_lossy().into_owned();
        let mut words = self.before.iter().cloned().chain([program]);
        let mut command = self.lab.exec("ctl", &words.next().context("a program")?);
        command.args(words).args(["up", "--interface", "eth1", "--data"]).arg(self.lab.state().data());
        command.args(&self.arguments);
        self.lab.spawn("rackwright", &command)
    }

    /// Kills it as a power cut would.
    pub fn kill(&self) -> Result<()> {
        let running = self.lab.process("rackwright").context("the controller does not run")?;
        running.signal(Signal::SIGKILL);
        running.wait(Duration::from_secs(10))
    }

    /// Stops it in order.
    pub fn stop(&self) -> Result<()> {
        let running = self.lab.process("rackwright").context("the controller does not run")?;
        running.stop(Duration::from_secs(60))
    }

    /// Stops it in order and starts it with other arguments.
    pub fn restart_with(&mut self, arguments: &[&str]) -> Result<()> {
        self.stop()?;
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.start()
    }

    /// The last lines that the controller wrote.
    pub fn log_tail(&self) -> String {
        process::tail(&self.lab.process_log("rackwright"), 20)
    }

    /// All that the controller wrote.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.lab.process_log("rackwright")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The operator's client as the administrator.
    pub fn client(&self, arguments: &[&str]) -> Command {
        let mut command = self.rackwright(arguments);
        command.env("RACKWRIGHT_URL", REGION);
        command.env("RACKWRIGHT_TOKEN_FILE", self.data().join("admin.token"));
        command
    }

    /// Runs the operator's client and reads its answer.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.client(arguments).args(["-o", "json"]).output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "rackwright {arguments:?}: {error}");
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// Runs the operator's client, whatever comes of it.
    pub fn attempt(&self, arguments: &[&str]) -> Result<Ended> {
        let output = self.client(arguments).output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Ended { code: output.status.code().unwrap_or(-1), error })
    }

    /// A list that the client tells, page or not.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let told = self.ask(arguments)?;
        let rows = told.as_array().or(told["items"].as_array());
        rows.cloned().with_context(|| format!("rackwright {arguments:?} told no list: {told}"))
    }

    /// GET of a path of the region, without a token, by curl.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.curl(&["-m", "20", &format!("{REGION}{path}")])
    }

    /// The same with the administrator's token, which is not in the arguments.
    pub fn get_as_admin(&self, path: &str) -> Result<Answer> {
        let header = self.data().join("admin.header");
        let token = std::fs::read_to_string(self.data().join("admin.token"))?;
        state::write_private(&header, format!("Authorization: Bearer {}\n", token.trim()).as_bytes())?;
        self.curl(&["-m", "20", "-H", &format!("@{}", header.display()), &format!("{REGION}{path}")])
    }

    /// curl on the controller.
    pub fn curl(&self, arguments: &[&str]) -> Result<Answer> {
        let mut command = self.lab.exec("ctl", "curl");
        command.args(["-s", "-S", "-w", "\n%{http_code} %header{retry-after}"]).args(arguments);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr).trim());
        let (body, end) = text.rsplit_once('\n').context("what curl was asked to write at the end")?;
        let (status, retry_after) = end.split_once(' ').unwrap_or((end, ""));
        Ok(Answer { status: status.parse()?, retry_after: retry_after.to_owned(), body: body.to_owned() })
    }

    /// Gives the region the images of `.lab/cache`, which `cargo xtask demo` builds.
    pub fn load_images(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let folder = state::root().join("cache").join(name);
            let loaded = self.client(&["image", "load"]).arg(&folder).output()?;
            let error = String::from_utf8_lossy(&loaded.stderr);
            ensure!(loaded.status.success(), "image load {}: {error}", folder.display());
        }
        Ok(())
    }

    /// Sets how a machine's BMC is reached, with this password.
    pub fn set_bmc(&self, id: &str, machine: &str, password: &str) -> Result<()> {
        let handle = self.lab.machine(machine)?;
        let bmc = handle.plan().bmc.as_ref().context("it has no BMC")?;
        let address = bmc.address.to_string();
        let arguments = ["machine", "bmc", id, "--bmc", "ipmi", "--bmc-address", &address];
        let mut set = self.client(&arguments);
        let set = set.args(["--bmc-user", &bmc.user]).env("RACKWRIGHT_BMC_PASSWORD", password).output()?;
        ensure!(set.status.success(), "machine bmc: {}", String::from_utf8_lossy(&set.stderr));
        Ok(())
    }

    /// The same with the password that fits.
    pub fn set_right_bmc(&self, id: &str, machine: &str) -> Result<()> {
        let handle = self.lab.machine(machine)?;
        let password = handle.plan().bmc.as_ref().context("it has no BMC")?.password.0.clone();
        self.set_bmc(id, machine, &password)
    }

    /// A machine.
    pub fn machine(&self, id: &str) -> Result<Value> {
        self.ask(&["machine", "show", id])
    }

    /// The identifier of the only machine, once it is known.
    pub fn first_machine(&self) -> Result<String> {
        poll::until(LIMIT, "a machine to be enlisted", || {
            let machines = self.list(&["machine", "list"])?;
            let first = machines.first().context("no machine yet")?;
            Ok(first["id"].as_str().map(str::to_owned))
        })
    }

    /// Waits until the machine is seen as wanted. A failed status ends the wait, unless it is wanted.
    pub fn until(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        poll::until(LIMIT, what, || {
            let machine = self.machine(id)?;
            if wanted(&machine) {
                return Ok(Some(Ok(machine)));
            }
            if machine["status"].as_str().unwrap_or_default().starts_with("failed") {
                return Ok(Some(Err(anyhow::anyhow!(
                    "waiting for {what}, it failed: {}",
                    machine["status_message"]
                ))));
            }
            bail!("{} {}", machine["status"], machine["operation"])
        })?
    }

    /// Waits until its operation is at this step.
    pub fn until_step(&self, id: &str, step: &str) -> Result<Value> {
        self.until(id, &format!("step {step}"), |m| m["operation"]["step"] == step)
    }

    /// Waits until it rests in this status.
    pub fn until_status(&self, id: &str, status: &str) -> Result<Value> {
        self.until(id, status, |m| m["status"] == status && m["operation"].is_null())
    }

    /// Its latest operation of this kind.
    pub fn operation(&self, id: &str, kind: &str) -> Result<Value> {
        let operations = self.list(&["operation", "list", "--machine", id])?;
        let latest = operations.into_iter().filter(|o| o["kind"] == kind).max_by_key(|o| o["id"].as_i64());
        latest.with_context(|| format!("there was no {kind}"))
    }

    /// What happened to a machine, oldest first: level and message.
    pub fn events(&self, id: &str) -> Result<Vec<String>> {
        let mut events = self.list(&["event", "list", "--machine", id, "--limit", "1000"])?;
        events.sort_by_key(|event| event["id"].as_i64());
        let line = |event: &Value| {
            format!(
                "{}: {}",
                event["level"].as_str().unwrap_or_default(),
                event["message"].as_str().unwrap_or_default()
            )
        };
        Ok(events.iter().map(line).collect())
    }
}

/// The postmaster of a PostgreSQL that keeps its data here.
pub fn postmaster(data: &Path) -> Result<ProcessId> {
    let file = data.join("postmaster.pid");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let pid = text.lines().next().unwrap_or_default().trim().parse()?;
    ProcessId::of(pid).context("it does not run")
}
