//! Processes that outlive the one that started them, and ending them safely.
//!
//! What holds: a process is known by pid, start time and boot of the kernel; a pid that was given to somebody
//! else in between is never signalled. The record is written by the new process itself before it becomes the
//! program, so there is no moment in which it runs without a record.

use crate::poll;
use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub use nix::sys::signal::Signal::{SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM};

/// Runs in bash: closes what was inherited (a simulator's sockets, for example), writes the record, becomes
/// the program. `$0` is the record, `$@` the program.
const STARTER: &str = r#"for fd in /proc/$$/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && eval "exec $fd>&-"; done
echo "$$ $(cut -d' ' -f22 /proc/$$/stat) $(cat /proc/sys/kernel/random/boot_id)" >"$0.new" && mv "$0.new" "$0" && exec "$@""#;

/// One process, whichever pids are reused later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessId {
    pid: i32,
    /// Clock ticks after boot, field 22 of `/proc/PID/stat`.
    started: u64,
}

impl ProcessId {
    /// The process that has this pid now; `None` when there is none or it has ended (a zombie).
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&stat)?;
        (!stat.has_ended()).then_some(Self { pid, started: stat.started })
    }

    /// The process that a record names, if it is still there.
    #[must_use]
    pub fn recorded(record: &Path) -> Option<Self> {
        let text = fs::read_to_string(record).ok()?;
        let mut words = text.split_whitespace();
        let pid = words.next()?.parse().ok()?;
        let started = words.next()?.parse().ok()?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let same_boot = words.next()? == boot.trim();
        let process = Self { pid, started };
        (same_boot && process.is_alive()).then_some(process)
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal; a process that is gone is left alone. Whether it was sent.
    pub fn signal(&self, signal: Signal) -> bool {
        self.is_alive() && kill(Pid::from_raw(self.pid), signal).is_ok()
    }

    /// Ends it: asks, waits up to `patience`, insists.
    pub fn stop(&self, patience: Duration) -> Result<()> {
        self.signal(SIGCONT);
        self.signal(SIGTERM);
        if self.wait(patience).is_err() {
            self.signal(SIGKILL);
            self.wait(Duration::from_secs(10))?;
        }
        Ok(())
    }

    /// Waits until it has ended.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        poll::until(limit, &format!("the end of process {}", self.pid), || {
            if self.is_alive() { bail!("it runs") } else { Ok(Some(())) }
        })
    }
}

/// Starts `command` in a session of its own with output to `log`, and waits for its record.
///
/// The command's own standard streams are replaced; its environment and folder are kept.
pub fn spawn_detached(command: &Command, record: &Path, log: &Path) -> Result<ProcessId> {
    if let Some(running) = ProcessId::recorded(record) {
        bail!("{} runs already as process {}", record.display(), running.pid);
    }
    if record.exists() {
        fs::remove_file(record)?;
    }
    let output = fs::File::options().create(true).append(true).open(log).context("log of a process")?;
    let mut starter = Command::new("setsid");
    starter.args(["--fork", "bash", "-c", STARTER]).arg(record).arg(command.get_program());
    starter.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => starter.env(name, value),
            None => starter.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        starter.current_dir(folder);
    }
    starter.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    // A program starts with the signal mask of the thread that starts it, and this one may wait for signals elsewhere
    // ([`crate::interrupt`]): with SIGTERM blocked it could only be killed.
    let started = std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            SigSet::empty().thread_set_mask()?;
            starter.status()
        });
        starting.join()
    });
    let status = started.map_err(|_| anyhow::anyhow!("the starting thread panicked"))?.context("setsid")?;
    anyhow::ensure!(status.success(), "setsid: {status}");
    poll::until(Duration::from_secs(10), &format!("{} to start", record.display()), || {
        if !record.exists() {
            return Ok(None);
        }
        match ProcessId::recorded(record) {
            Some(process) => Ok(Some(process)),
            None => bail!("it ended at once: {}", tail(log, 5)),
        }
    })
}

/// The last lines of a file, for an error message.
#[must_use]
pub fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// What `/proc/PID/stat` says that matters here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u32,
    started: u64,
}

impl Stat {
    /// The name of the program may hold spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let rest = &stat[stat.rfind(')')? + 1..];
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let threads = fields.nth(16)?.parse().ok()?;
        Some(Self { state, threads, started: fields.nth(1)?.parse().ok()? })
    }

    /// Whether nothing of it runs any more. A first thread that is a zombie is not enough: while others are on
    /// their way out, the process still holds its files and their locks.
    fn has_ended(&self) -> bool {
        self.state == 'X' || (self.state == 'Z' && self.threads <= 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = "42 (a ) R b) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 7 0 98765 1 2 3";
        assert_eq!(Stat::parse(stat), Some(Stat { state: 'S', threads: 7, started: 98765 }));
    }

    #[test]
    fn a_process_has_ended_when_its_last_thread_has() {
        let ended = |state, threads| Stat { state, threads, started: 1 }.has_ended();
        assert!(!ended('S', 1));
        assert!(!ended('Z', 2));
        assert!(ended('Z', 1));
    }

    #[test]
    fn another_process_with_the_same_pid_is_not_ours() {
        let me = ProcessId::of(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive());
        let earlier = ProcessId { pid: me.pid, started: me.started - 1 };
        assert!(!earlier.is_alive());
        earlier.signal(SIGKILL);
    }

    #[test]
    fn a_detached_process_is_found_again_and_ended() {
        let folder = std::env::temp_dir().join(format!("rackwright-process-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (record, log) = (folder.join("pid"), folder.join("log"));
        let started = spawn_detached(Command::new("sleep").arg("60"), &record, &log).unwrap();
        assert_eq!(ProcessId::recorded(&record), Some(started.clone()));
        assert!(spawn_detached(Command::new("sleep").arg("60"), &record, &log).is_err());
        started.stop(Duration::from_secs(5)).unwrap();
        assert_eq!(ProcessId::recorded(&record), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
