//! Running other programs: found in PATH and in the administrators' folders, with an error that names the Debian
//! package of a missing one, and with the last lines of its output when it fails. Arguments never pass a shell.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::error::{Error, Result, io};
use crate::progress::{Progress, ProgressFn};

/// Lines of output kept for the error message.
const TAIL_LINES: usize = 12;

/// Debian packages of the programs that builds call.
const PACKAGES: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("apt-cache", "apt"),
    ("apt-config", "apt"),
    ("depmod", "kmod"),
    ("dpkg-deb", "dpkg"),
    ("fakeroot", "fakeroot"),
    ("grub-mkimage", "grub-common"),
    ("mcopy", "mtools"),
    ("mformat", "mtools"),
    ("mmd", "mtools"),
    ("mke2fs", "e2fsprogs"),
    ("mksquashfs", "squashfs-tools"),
    ("mmdebstrap", "mmdebstrap"),
    ("qemu-img", "qemu-utils"),
    ("sfdisk", "fdisk"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
];

/// A program about to run.
pub(crate) struct Tool {
    program: String,
    command: Command,
    input: Option<Vec<u8>>,
}

impl Tool {
    /// Finds the program; fails with its package's name when it is not there.
    pub(crate) fn new(program: &str) -> Result<Self> {
        let path = find(program).ok_or_else(|| missing(program))?;
        let mut command = Command::new(path);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        Ok(Self { program: program.to_owned(), command, input: None })
    }

    /// The program under `fakeroot` when the caller is not root, so that files may belong to root inside an image.
    /// `state` is the file in which fakeroot remembers owners from one call to the next.
    pub(crate) fn as_root(program: &str, state: &Path) -> Result<Self> {
        if is_root() {
            return Self::new(program);
        }
        let inner = find(program).ok_or_else(|| missing(program))?;
        std::fs::OpenOptions::new().append(true).create(true).open(state).map_err(io("create", state))?;
        Ok(Self::new("fakeroot")?.arg("-i").arg(state).arg("-s").arg(state).arg("--").arg(inner))
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<I: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = I>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Bytes for its standard input.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// A file as its standard input.
    pub(crate) fn input_file(mut self, file: std::fs::File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Runs it and gives back its standard output.
    pub(crate) fn output(self) -> Result<String> {
        self.run(&mut |_| {})
    }

    /// Runs it, reports each line of its standard error, and gives back its standard output.
    pub(crate) fn run(mut self, progress: &mut ProgressFn<'_>) -> Result<String> {
        let shown = self.shown();
        let mut child = self.spawn()?;
        let writer = self.input.take().zip(child.stdin.take()).map(|(bytes, mut pipe)| {
            // A program that stops reading early is judged by its exit status, not by the broken pipe.
            thread::spawn(move || pipe.write_all(&bytes).is_ok())
        });
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take();
        let collector = thread::spawn(move || {
            let mut text = Vec::new();
            stdout.map(|mut pipe| pipe.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                let mut reader = BufReader::new(stderr);
                let mut line = Vec::new();
                while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                    if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                        break;
                    }
                    line.clear();
                }
            });
        }
        let mut tail: Vec<String> = Vec::new();
        for line in lines {
            progress(Progress::Line(&line));
            tail.push(line);
            if tail.len() > TAIL_LINES {
                tail.remove(0);
            }
        }
        let status = child.wait().map_err(|source| Error::Io {
            action: "wait for",
            path: PathBuf::from(&self.program),
            source,
        })?;
        let output = collector.join().unwrap_or_default();
        if let Some(writer) = writer {
            writer.join().ok();
        }
        if status.success() {
            return Ok(output);
        }
        if tail.is_empty() {
            let from = output.lines().count().saturating_sub(TAIL_LINES);
            tail = output.lines().skip(from).map(str::to_owned).collect();
        }
        Err(Error::CommandFailed { command: shown, status: status.to_string(), tail: tail.join("\n") })
    }

    /// Runs it with its standard output as the other program's input; both must end well.
    pub(crate) fn pipe_into(mut self, mut next: Self) -> Result<()> {
        let shown = self.shown();
        self.command.stderr(Stdio::null());
        let mut child =
            self.command.stdout(Stdio::piped()).spawn().map_err(|source| self.not_started(source))?;
        if let Some(pipe) = child.stdout.take() {
            next.command.stdin(pipe);
        }
        let result = next.output();
        let status = child.wait().map_err(|source| self.not_started(source))?;
        result?;
        if status.success() {
            return Ok(());
        }
        Err(Error::CommandFailed { command: shown, status: status.to_string(), tail: String::new() })
    }

    fn not_started(&self, source: std::io::Error) -> Error {
        Error::Io { action: "start", path: PathBuf::from(&self.program), source }
    }

    fn spawn(&mut self) -> Result<Child> {
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.spawn().map_err(|source| self.not_started(source))
    }

    /// The program and its first arguments, for messages.
    fn shown(&self) -> String {
        let mut words = vec![self.program.clone()];
        words.extend(self.command.get_args().take(4).map(|a| a.to_string_lossy().into_owned()));
        words.join(" ")
    }
}

/// Is the caller root? Decides between plain programs and `fakeroot`.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// Checks that every named program is there, before hours are spent on the first ones.
pub(crate) fn need(programs: &[&str]) -> Result<()> {
    programs.iter().try_for_each(|p| find(p).map(|_| ()).ok_or_else(|| missing(p)))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn missing(program: &str) -> Error {
    let package = PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| *package);
    Error::MissingProgram { program: program.to_owned(), package: package.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = missing("mcopy").to_string();
        assert_eq!(error, "the program `mcopy` is missing; install it with `apt-get install mtools`");
        assert!(matches!(Tool::new("no-such-program-here"), Err(Error::MissingProgram { .. })));
    }

    #[test]
    fn a_failure_carries_the_last_lines() {
        let error = Tool::new("sh")
            .unwrap()
            .args(["-c", "echo first >&2; echo last >&2; exit 3"])
            .output()
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.ends_with("first\nlast"), "{text}");
    }

    #[test]
    fn input_reaches_the_program_and_output_comes_back() {
        assert_eq!(Tool::new("cat").unwrap().input("hello").output().unwrap(), "hello");
    }

    #[test]
    fn lines_are_reported_as_they_come() {
        let mut seen = Vec::new();
        let mut progress = |p: Progress<'_>| {
            if let Progress::Line(line) = p {
                seen.push(line.to_owned());
            }
        };
        Tool::new("sh").unwrap().args(["-c", "echo a >&2; echo b >&2"]).run(&mut progress).unwrap();
        assert_eq!(seen, ["a", "b"]);
    }
}
