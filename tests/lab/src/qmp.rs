//! A talk with a running QEMU over its QMP socket (QEMU Machine Protocol, one JSON object a line).
//!
//! What is left out: events, other than the one a command is known to cause.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A session; QEMU serves one at a time, so it is short.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects and negotiates.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut session = Self { stream: BufReader::new(stream) };
        let greeting = session.line()?;
        ensure!(greeting.get("QMP").is_some(), "unexpected greeting {greeting}");
        session.call("qmp_capabilities", json!({}))?;
        Ok(session)
    }

    /// Sends a command and waits for its reply.
    pub fn call(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.send(command, arguments)?;
        loop {
            let mut reply = self.line()?;
            if let Some(error) = reply.get("error") {
                bail!("{command}: {}", error["desc"].as_str().unwrap_or("refused"));
            }
            if let Some(value) = reply.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Resets the machine and waits until that has happened: the reply only says that it was asked for.
    pub fn reset(&mut self) -> Result<()> {
        self.send("system_reset", json!({}))?;
        let (mut answered, mut happened) = (false, false);
        while !(answered && happened) {
            let line = self.line()?;
            answered |= line.get("return").is_some();
            happened |= line["event"] == "RESET";
        }
        Ok(())
    }

    fn send(&mut self, command: &str, arguments: Value) -> Result<()> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        Ok(self.stream.get_mut().write_all(line.as_bytes())?)
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).context("QMP")?;
        ensure!(count > 0, "QEMU closed the connection");
        serde_json::from_str(&line).context("QMP")
    }
}
