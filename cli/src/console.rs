//! What a command has at hand: the client, and the form in which the user wants answers.

use crate::client::Client;
use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// The form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// The client and the form of answers.
#[derive(Debug, Clone)]
pub struct Console {
    /// Talks to the region.
    pub client: Client,
    /// How answers look.
    pub format: Format,
}

impl Console {
    /// Prints a list; `cells` gives a row's cells for people.
    pub fn list<T: Serialize>(
        &self,
        rows: &[T],
        heads: &[&str],
        cells: impl Fn(&T) -> Vec<String>,
    ) -> Result<()> {
        if self.format != Format::Table {
            return self.data(&rows);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(heads.to_vec());
        for row in rows {
            table.add_row(cells(row));
        }
        print(&table.trim_fmt())
    }

    /// Prints one thing; `text` gives it for people.
    pub fn show<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        if self.format == Format::Table { print(text(value).trim_end()) } else { self.data(value) }
    }

    /// Says that something was done; programs get `null`, which they can ignore.
    pub fn done(&self, text: &str) -> Result<()> {
        if self.format == Format::Table { print(text) } else { Ok(()) }
    }

    fn data(&self, value: &impl Serialize) -> Result<()> {
        match self.format {
            Format::Yaml => print(serde_yaml_ng::to_string(value)?.trim_end()),
            Format::Table | Format::Json => print(&serde_json::to_string_pretty(value)?),
        }
    }

    /// Progress may be drawn: somebody watches, and the answer is for people.
    pub fn is_watched(&self) -> bool {
        self.format == Format::Table && std::io::stderr().is_terminal()
    }
}

/// Prints to standard output. A reader that went away (`| head`) ends the command without complaint.
pub fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Text, or a dash for nothing.
pub fn dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

/// Bytes with a unit that keeps the number short: 500 GB as disks are sold, 16 GiB as memory is.
pub fn disk_size(bytes: i64) -> String {
    if bytes <= 0 {
        return "-".into();
    }
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1, "B")];
    let (unit, name) = units.into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1, "B"));
    let tenths = bytes.saturating_mul(10) / unit;
    if tenths % 10 == 0 || tenths >= 1000 {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// Memory.
pub fn memory_size(mib: i64) -> String {
    match mib {
        i64::MIN..=0 => "-".into(),
        1..=2047 => format!("{mib} MiB"),
        _ => format!("{} GiB", (mib + 512) / 1024),
    }
}

/// Time passed, in its two largest units.
pub fn duration(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        i64::MIN..=59 => format!("{} s", seconds.max(0)),
        60..=3599 => format!("{minutes} min {} s", seconds % 60),
        3600..=86_399 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// How long ago a moment was.
pub fn ago(at: rackwright_region::model::Timestamp) -> String {
    format!("{} ago", duration(at.seconds_ago(time::OffsetDateTime::now_utc())))
}

/// Percent-encodes a name for a path.
pub fn path_part(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~@".contains(&b);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(disk_size(480_103_981_056), "480 GB");
        assert_eq!(disk_size(4_294_967_296), "4.2 GB");
        assert_eq!(disk_size(1_000_000_000), "1 GB");
        assert_eq!(memory_size(1_024), "1024 MiB");
        assert_eq!(memory_size(257_600), "252 GiB");
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(3_700), "1 h 1 min");
        assert_eq!(duration(200_000), "2 d 7 h");
    }

    #[test]
    fn names_are_safe_in_paths() {
        assert_eq!(path_part("debian-12@3"), "debian-12@3");
        assert_eq!(path_part("a/b c"), "a%2Fb%20c");
    }
}
