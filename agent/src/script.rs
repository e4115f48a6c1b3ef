//! Running a script under MAAS's contract: the environment names the files, the exit code decides, output is kept and
//! streamed. A script may flood, hang or leave children behind; none of that reaches beyond its own process group, its
//! time limit and one MiB of each output.

pub mod leftovers;
pub mod told;

use crate::command;
use crate::error::{Error, Result, io};
use crate::report::Report;
use crate::{sys, toolbox};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rackwright_common::agent::{ScriptOutcome, ScriptWork};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const KEPT: usize = 1 << 20;
/// Log bytes a second; more is left out of the stream, not of what is kept.
const LOG_RATE: usize = 64 * 1024;
/// Between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(5);
/// Until a killed script is left to itself: the kernel does not end a process that waits for a dead disk.
const STUCK: Duration = Duration::from_secs(15);
/// For output still in the pipes when the script has ended.
const DRAIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// Runs a script to its end. `folder` is in memory.
pub fn run(work: &ScriptWork, item: i64, folder: &Path, report: &Report) -> Result<ScriptOutcome> {
    let root = work.toolbox.as_ref().map(|blob| toolbox::mount(blob, folder, report)).transpose()?;
    let inside = match &root {
        Some(_) => PathBuf::from(format!("/run/rackwright/script-{item}")),
        None => folder.join(format!("script-{item}")),
    };
    let outside = match &root {
        Some(root) => root.join(inside.strip_prefix("/").unwrap_or(&inside)),
        None => inside.clone(),
    };
    leftovers::end("RESULT_PATH", &inside.join("result.yaml").to_string_lossy());
    fs::remove_dir_all(&outside).ok();
    fs::create_dir_all(&outside).map_err(io("create", &outside))?;
    let program = outside.join("script");
    fs::write(&program, &work.body).map_err(io("write", &program))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700))
        .map_err(io("make executable", &program))?;

    report.step(format!("running {}", work.name));
    let mut command = match &root {
        Some(root) => {
            let mut chroot = command::command("chroot");
            chroot.arg(root).arg(inside.join("script"));
            chroot
        }
        None => Command::new(&program),
    };
    // The kernel hands unknown words of its command line to /init as environment; a script is not to see them.
    command
        .args(&work.arguments)
        .env_clear()
        .envs(environment(work, &inside))
        .current_dir("/")
        .process_group(0);
    // The files are there before the script looks at them.
    let capture = Capture::new(&outside, report)?;
    let child = spawn(&mut command, work)?;
    let outcome = supervise(child, work, capture, report);
    let result_yaml = read_start(&outside.join("result.yaml"));
    fs::remove_dir_all(&outside).ok();
    Ok(ScriptOutcome { result_yaml, ..outcome? })
}

/// One sentence on how it ended, when it did not end well.
pub fn verdict(outcome: &ScriptOutcome, work: &ScriptWork) -> Option<String> {
    match (outcome.timed_out, outcome.exit_code) {
        (true, _) => Some(format!("{} was killed after {} seconds", work.name, work.timeout_seconds)),
        (false, Some(0)) => None,
        (false, Some(code)) => Some(format!("{} ended with exit code {code}", work.name)),
        (false, None) => Some(format!("{} was killed by a signal", work.name)),
    }
}

fn environment(work: &ScriptWork, inside: &Path) -> Vec<(String, String)> {
    let path = |name: &str| inside.join(name).to_string_lossy().into_owned();
    let mut all = vec![
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME".to_owned(), "/root".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("RESULT_PATH".to_owned(), path("result.yaml")),
        ("OUTPUT_STDOUT_PATH".to_owned(), path("stdout")),
        ("OUTPUT_STDERR_PATH".to_owned(), path("stderr")),
        ("OUTPUT_COMBINED_PATH".to_owned(), path("combined")),
        ("HAS_STARTED".to_owned(), if work.has_started { "True" } else { "False" }.to_owned()),
        ("RUNTIME".to_owned(), work.timeout_seconds.to_string()),
        ("RACKWRIGHT_BOOTS".to_owned(), work.boots.to_string()),
    ];
    all.extend(work.environment.clone());
    all
}

fn spawn(command: &mut Command, work: &ScriptWork) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match command.spawn() {
            Ok(child) => return Ok(child),
            // Another child made at the same moment may still hold the file open for writing.
            Err(error)
                if error.kind() == std::io::ErrorKind::ExecutableFileBusy && Instant::now() < deadline =>
            {
                std::thread::sleep(POLL);
            }
            Err(error) => {
                let first = work.body.lines().next().unwrap_or_default();
                return Err(Error::refused(format!(
                    "{} cannot be started ({error}); its first line is {first:?}, and without the toolbox only busybox is there",
                    work.name
                )));
            }
        }
    }
}

fn supervise(
    mut child: Child,
    work: &ScriptWork,
    capture: Capture,
    report: &Report,
) -> Result<ScriptOutcome> {
    sys::lower_priority(child.id());
    let group = Pid::from_raw(child.id() as i32);
    let (done, drained) = channel();
    let Capture { combined, stdout, stderr, log } = capture;
    let stdout = read(child.stdout.take(), stdout, &combined, &log, &done);
    let stderr = read(child.stderr.take(), stderr, &combined, &log, &done);
    drop(done);
    let deadline =
        (work.timeout_seconds > 0).then(|| Instant::now() + Duration::from_secs(work.timeout_seconds));
    let (status, timed_out) = wait(&mut child, group, deadline, report)?;
    if status.is_none() {
        report.log(
            "\nit does not end even when it is killed; the kernel holds it, perhaps for a dead device\n",
        );
    }
    wait_drained(&drained, DRAIN);
    // What it left running would hold the pipes, and disturb whatever comes next.
    killpg(group, Signal::SIGKILL).ok();
    wait_drained(&drained, Duration::from_millis(200));
    report.check()?;
    Ok(ScriptOutcome {
        exit_code: status.and_then(|status| if timed_out { None } else { status.code() }),
        timed_out,
        stdout: stdout.lock().unwrap_or_else(PoisonError::into_inner).text(),
        stderr: stderr.lock().unwrap_or_else(PoisonError::into_inner).text(),
        result_yaml: String::new(),
    })
}

/// Waits for the end, or makes one. There is no status when even that does not help.
fn wait(
    child: &mut Child,
    group: Pid,
    deadline: Option<Instant>,
    report: &Report,
) -> Result<(Option<ExitStatus>, bool)> {
    let mut asked: Option<Instant> = None;
    let mut timed_out = false;
    loop {
        if let Some(status) = child.try_wait().map_err(crate::error::doing("wait for the script"))? {
            return Ok((Some(status), timed_out));
        }
        match asked {
            None => {
                timed_out = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if timed_out || report.check().is_err() {
                    killpg(group, Signal::SIGTERM).ok();
                    asked = Some(Instant::now());
                }
            }
            Some(at) if at.elapsed() > GRACE + STUCK => return Ok((None, timed_out)),
            Some(at) if at.elapsed() > GRACE => {
                killpg(group, Signal::SIGKILL).ok();
            }
            Some(_) => {}
        }
        std::thread::sleep(POLL);
    }
}

/// Until both readers are done, or the time is up.
fn wait_drained(drained: &Receiver<()>, limit: Duration) {
    let deadline = Instant::now() + limit;
    while drained.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
}

/// Where output goes besides what is kept: into files that the script may read, and into the log.
struct Capture {
    combined: Arc<Mutex<Bounded>>,
    stdout: Bounded,
    stderr: Bounded,
    log: Arc<Mutex<RateLimit>>,
}

impl Capture {
    fn new(folder: &Path, report: &Report) -> Result<Self> {
        Ok(Self {
            combined: Arc::new(Mutex::new(Bounded::create(&folder.join("combined"))?)),
            stdout: Bounded::create(&folder.join("stdout"))?,
            stderr: Bounded::create(&folder.join("stderr"))?,
            log: Arc::new(Mutex::new(RateLimit::new(report.clone()))),
        })
    }
}

/// A thread that reads one output until it is closed; what it keeps can be looked at any time.
fn read(
    source: Option<impl Read + Send + 'static>,
    mut file: Bounded,
    combined: &Arc<Mutex<Bounded>>,
    log: &Arc<Mutex<RateLimit>>,
    done: &Sender<()>,
) -> Arc<Mutex<Tail>> {
    let tail = Arc::new(Mutex::new(Tail::default()));
    let (kept, combined, log, done) = (tail.clone(), combined.clone(), log.clone(), done.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        let Some(mut source) = source else { return };
        while let Ok(count) = source.read(&mut buffer) {
            if count == 0 {
                break;
            }
            let bytes = &buffer[..count];
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
            file.write(bytes);
            combined.lock().unwrap_or_else(PoisonError::into_inner).write(bytes);
            log.lock().unwrap_or_else(PoisonError::into_inner).write(bytes);
        }
        done.send(()).ok();
    });
    tail
}

/// A file that takes one MiB and drops the rest.
struct Bounded {
    file: File,
    left: usize,
}

impl Bounded {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: File::create(path).map_err(io("create", path))?, left: KEPT })
    }

    fn write(&mut self, bytes: &[u8]) {
        let part = &bytes[..bytes.len().min(self.left)];
        self.left -= part.len();
        // These copies are a convenience for the script; what is reported does not come from them.
        self.file.write_all(part).ok();
    }
}

/// The last MiB of a stream, and how much came before it.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    dropped: usize,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT {
            let surplus = self.bytes.len() - KEPT;
            self.dropped += surplus;
            self.bytes.drain(..surplus);
        }
    }

    /// What is kept, after a line that says how much is not.
    fn text(&self) -> String {
        let surplus = self.bytes.len().saturating_sub(KEPT);
        let mut dropped = self.dropped + surplus;
        let mut text = printable(&self.bytes[surplus..]);
        if text.len() > KEPT {
            let start = text.ceil_char_boundary(text.len() - KEPT);
            dropped += start;
            text.drain(..start);
        }
        // Control characters take six bytes on their way; racks and regions take messages of 8 MiB.
        while serde_json::to_string(&text).map_or(0, |json| json.len()) > 3 * KEPT {
            let start = text.ceil_char_boundary(text.len() / 2);
            dropped += start;
            text.drain(..start);
        }
        if dropped > 0 {
            text.insert_str(0, &format!("… {dropped} bytes of output before this were left out …\n"));
        }
        text
    }
}

/// As text; zero bytes, which databases refuse, become the replacement character.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

/// Log lines up to a rate.
struct RateLimit {
    report: Report,
    second: Instant,
    used: usize,
    left_out: usize,
}

impl RateLimit {
    fn new(report: Report) -> Self {
        Self { report, second: Instant::now(), used: 0, left_out: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.second.elapsed() >= Duration::from_secs(1) {
            if self.left_out > 0 {
                self.report.log(&format!("\n… {} bytes of output not shown …\n", self.left_out));
            }
            (self.second, self.used, self.left_out) = (Instant::now(), 0, 0);
        }
        if self.used + bytes.len() > LOG_RATE {
            self.left_out += bytes.len();
        } else {
            self.used += bytes.len();
            self.report.log(&printable(bytes));
        }
    }
}

/// The first MiB of a file; empty when there is none.
fn read_start(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        file.take(KEPT as u64).read_to_end(&mut bytes).ok();
    }
    printable(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_the_last_mebibyte_is_kept() {
        let mut tail = Tail::default();
        for line in 0..400_000 {
            tail.push(format!("{line}\n").as_bytes());
        }
        let text = tail.text();
        let (mark, kept) = text.split_once('\n').unwrap();
        assert_eq!(mark, "… 1640314 bytes of output before this were left out …");
        assert_eq!(kept.len(), KEPT);
        assert!(text.ends_with("399998\n399999\n"));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_grow_beyond_the_limit() {
        let mut tail = Tail::default();
        tail.push(&vec![0xff; KEPT]);
        assert!(tail.text().len() <= KEPT + 100);
        assert_eq!(printable(b"a\0b"), "a\u{fffd}b");
        tail.push(&vec![0x1b; KEPT]);
        assert!(serde_json::to_string(&tail.text()).unwrap().len() <= 3 * KEPT);
    }
}
