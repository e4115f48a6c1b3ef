//! The power of a machine that is played: what its BMC's simulator calls, by the lab's convention for chassis programs.
//!
//! What holds: a call is done when it returns, one at a time; each act is logged with whether it changed anything.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Whether a machine is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Power {
    /// It is on.
    pub on: bool,
    /// Counts power-ons and resets.
    pub boot: u64,
}

/// An act that changed something: when, by the box's clock in seconds, and what.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// Seconds since 1970.
    pub at: f64,
    /// `on`, `off`, `reset`.
    pub what: String,
}

/// Runs the operations on the machine of `folder`, and yields what is to be printed.
pub fn run(folder: &Path, words: &[String]) -> Result<String> {
    let lock = fs::File::options().create(true).append(true).open(folder.join("acts.log"))?;
    lock.lock()?;
    let mut said = String::new();
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(verb) = words.next() {
        let what = words.next().with_context(|| format!("{verb} what?"))?;
        if verb == "get" {
            let on = u8::from(read(folder).on);
            said += &if what == "power" { format!("power:{on}\n") } else { format!("{what}:none\n") };
            continue;
        }
        let value = words.next().with_context(|| format!("{verb} {what} to what?"))?;
        while words.next_if(|word| !matches!(*word, "get" | "set" | "check")).is_some() {}
        if verb == "set" {
            let before = read(folder);
            let (after, act) = changed(before, what, value)?;
            if after != before {
                write(folder, after)?;
                let at = std::time::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64());
                writeln!(&lock, "{at:.3} {act}")?;
            }
        }
    }
    Ok(said)
}

fn changed(before: Power, what: &str, value: &str) -> Result<(Power, &'static str)> {
    let next = Power { on: true, boot: before.boot + 1 };
    Ok(match (what, value) {
        ("power", "1") if !before.on => (next, "on"),
        ("reset", _) if before.on => (next, "reset"),
        ("power", "0") | ("shutdown", _) => (Power { on: false, ..before }, "off"),
        ("power" | "reset" | "boot" | "identify", _) => (before, ""),
        _ => bail!("cannot set {what} to {value}"),
    })
}

/// The power as it is now; off when nobody ever switched it on.
pub fn read(folder: &Path) -> Power {
    let text = fs::read_to_string(folder.join("power")).unwrap_or_default();
    let mut words = text.split_whitespace();
    let on = words.next() == Some("on");
    Power { on, boot: words.next().and_then(|word| word.parse().ok()).unwrap_or(0) }
}

/// The machine switches itself off.
pub fn switch_off(folder: &Path) -> Result<()> {
    write(folder, Power { on: false, ..read(folder) })
}

fn write(folder: &Path, power: Power) -> Result<()> {
    let new = folder.join("power.new");
    fs::write(&new, format!("{} {}\n", if power.on { "on" } else { "off" }, power.boot))?;
    Ok(fs::rename(new, folder.join("power"))?)
}

/// What the BMC changed so far.
pub fn acts(folder: &Path) -> Vec<Act> {
    let text = fs::read_to_string(folder.join("acts.log")).unwrap_or_default();
    let act = |line: &str| {
        let (at, what) = line.split_once(' ')?;
        Some(Act { at: at.parse().ok()?, what: what.to_owned() })
    };
    text.lines().filter_map(act).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_goes_on_once_and_each_reset_is_another_boot() {
        let folder = std::env::temp_dir().join(format!("rackwright-sim-chassis-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let call = |text: &str| {
            let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
            run(&folder, &words)
        };
        assert_eq!(call("get power").unwrap(), "power:0\n");
        call("set boot pxe efi persistent set power 1").unwrap();
        call("set power 1").unwrap();
        assert_eq!(call("get power get boot").unwrap(), "power:1\nboot:none\n");
        call("set reset 1").unwrap();
        assert_eq!(read(&folder), Power { on: true, boot: 2 });
        call("set power 0").unwrap();
        assert!(call("set power").is_err());
        let acts: Vec<_> = acts(&folder).into_iter().map(|act| act.what).collect();
        assert_eq!(acts, ["on", "reset", "off"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
