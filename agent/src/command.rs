//! Running the programs of the initramfs (sfdisk, mke2fs, lvm, …): output kept, last words of a failure told.
//!
//! Busybox has applets under the names of some real programs, so a real one is looked for first.

use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The path of a program: a real one, or busybox's link to its applet; none when there is neither.
pub fn find(program: &str) -> Option<PathBuf> {
    let paths =
        || FOLDERS.iter().map(|folder| PathBuf::from(folder).join(program)).filter(|path| path.exists());
    let is_busybox =
        |path: &PathBuf| path.canonicalize().is_ok_and(|p| p.file_name() == Some(OsStr::new("busybox")));
    paths().find(|path| !is_busybox(path)).or_else(|| paths().next())
}

/// A command for a program, or for busybox's applet of that name where there is no such file.
pub fn command(program: &str) -> Command {
    match find(program) {
        Some(path) => Command::new(path),
        None => {
            let mut command = Command::new("/bin/busybox");
            command.arg(program);
            command
        }
    }
}

/// Runs to the end and gives back standard output; a failure says the program's last words.
pub fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<String> {
    run_with_input(program, arguments, b"")
}

/// As [`run`], with standard input.
pub fn run_with_input<A: AsRef<OsStr>>(program: &str, arguments: &[A], input: &[u8]) -> Result<String> {
    let output = output(program, arguments, input)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failure(program, &output))
    }
}

/// Runs to the end; the exit status is the caller's to judge.
pub fn output<A: AsRef<OsStr>>(program: &str, arguments: &[A], input: &[u8]) -> Result<Output> {
    let fault = |source| Error::Io { doing: format!("run {program}"), source };
    let mut child = command(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fault)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input ends the pipe; its exit status tells the rest.
        stdin.write_all(input).ok();
    }
    child.wait_with_output().map_err(|source| Error::Io { doing: format!("wait for {program}"), source })
}

/// The error for a program that ended badly.
pub fn failure(program: &str, output: &Output) -> Error {
    let words = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let detail = match (last.is_empty(), output.status.code()) {
        (false, _) => last[last.len().saturating_sub(3)..].join("; "),
        (true, Some(code)) => format!("exit code {code}"),
        (true, None) => "killed".to_owned(),
    };
    Error::Program { program: program.to_owned(), detail: detail.chars().take(600).collect() }
}

/// Runs a program inside another root.
pub fn run_in(root: &std::path::Path, program: &str, arguments: &[&str]) -> Result<String> {
    let mut all: Vec<OsString> = vec![root.into(), program.into()];
    all.extend(arguments.iter().map(OsString::from));
    let output = output("chroot", &all, b"")?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failure(program, &output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_back_and_failure_tells_the_last_words() {
        assert_eq!(run_with_input("cat", &[] as &[&str], b"hello").unwrap(), "hello");
        let error = run("sh", &["-c", "echo one >&2; echo two >&2; exit 3"]).unwrap_err();
        assert_eq!(error.to_string(), "sh failed: one; two");
        let error = run("sh", &["-c", "exit 3"]).unwrap_err();
        assert_eq!(error.to_string(), "sh failed: exit code 3");
    }

    #[test]
    fn a_large_input_to_a_program_that_does_not_read_is_no_error() {
        assert!(run_with_input("true", &[] as &[&str], &vec![0; 1 << 20]).is_ok());
    }
}
