//! Ctrl-C as a value to look at, so that a lab is removed before the process ends.
//!
//! What holds: signals are waited for by a thread of their own, no code runs in a handler. Programs started
//! later inherit the mask; [`crate::process::spawn_detached`] gives those that it starts an empty one.

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Counts Ctrl-C and SIGTERM.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicU32>);

impl Interrupt {
    /// Takes over SIGINT and SIGTERM. To be called before other threads are started. The third one ends the
    /// process at once.
    pub fn listen() -> Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        signals.thread_block()?;
        let seen = Self(Arc::default());
        let counter = seen.clone();
        thread::spawn(move || {
            while signals.wait().is_ok() {
                if counter.0.fetch_add(1, Ordering::Relaxed) >= 2 {
                    std::process::exit(130);
                }
            }
        });
        Ok(seen)
    }

    /// Whether it was pressed.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// An error once it was pressed.
    pub fn check(&self) -> Result<()> {
        if self.is_seen() { bail!("interrupted") } else { Ok(()) }
    }

    /// Waits for `time` or until it is pressed.
    pub fn pause(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.check()?;
            thread::sleep(Duration::from_millis(100).min(time));
        }
        self.check()
    }

    /// Runs a program to its end, or ends it, with all that it has started, as soon as Ctrl-C is pressed.
    pub fn run(&self, command: &mut Command) -> Result<()> {
        self.check()?;
        let name = command.get_program().to_string_lossy().into_owned();
        // In a group of its own, so that what it has started is known, and a terminal's Ctrl-C comes here first.
        let mut child =
            command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| name.clone())?;
        let group = Pid::from_raw(i32::try_from(child.id()).context("a process number")?);
        while !self.is_seen() {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "{name}: {status}");
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        let began = Instant::now();
        let mut signal = Some(Signal::SIGTERM);
        // The group is there as long as one of it is; the child counts until it is waited for.
        while killpg(group, signal).is_ok() && began.elapsed() < 2 * ENDS_WITHIN {
            child.try_wait()?;
            signal = (began.elapsed() >= ENDS_WITHIN).then_some(Signal::SIGKILL);
            thread::sleep(LOOK);
        }
        child.wait()?;
        self.check()
    }
}

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long a program has to clean up behind itself.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll;
    use crate::process::ProcessId;

    #[test]
    fn a_program_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let (cleaned, inner) = (folder.path().join("cleaned"), folder.path().join("inner"));
        let script = r#"trap 'sleep 0.2; touch "$0"; exit 1' TERM; sleep 1000 & echo $! >"$1.new"; mv "$1.new" "$1"; wait"#;
        let interrupt = Interrupt(Arc::default());
        let outcome = thread::scope(|scope| {
            let run = scope
                .spawn(|| interrupt.run(Command::new("sh").args(["-c", script]).args([&cleaned, &inner])));
            let limit = Duration::from_secs(20);
            poll::until(limit, "the program to run", || Ok(inner.exists().then_some(()))).unwrap();
            interrupt.0.fetch_add(1, Ordering::Relaxed);
            run.join().unwrap()
        });
        assert_eq!(outcome.unwrap_err().to_string(), "interrupted");
        assert!(cleaned.exists(), "it had the time to clean up");
        let pid = std::fs::read_to_string(&inner).unwrap().trim().parse().unwrap();
        assert_eq!(ProcessId::of(pid), None, "what it had started is gone");
    }

    #[test]
    fn a_program_that_fails_says_so_and_the_next_does_not_start_after_ctrl_c() {
        let interrupt = Interrupt(Arc::default());
        interrupt.run(&mut Command::new("true")).unwrap();
        assert!(
            interrupt.run(&mut Command::new("false")).unwrap_err().to_string().contains("exit status: 1")
        );
        interrupt.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(interrupt.run(&mut Command::new("/nonexistent")).unwrap_err().to_string(), "interrupted");
    }
}
