//! Numbers and moments as people read them. No locale: the same for everybody, UTC.

use askama::Template;
use askama::filters::HtmlSafe;
use rackwright_region::model::Timestamp;
use time::OffsetDateTime;

/// Bytes with decimal prefixes, as disks are sold: `480 GB`, `1.9 TB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    scaled(value, UNITS[unit], unit == 0)
}

/// MiB with binary prefixes, as memory is sold: `512 MiB`, `64 GiB`.
pub fn mib(count: u64) -> String {
    const UNITS: [&str; 3] = ["MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    scaled(value, UNITS[unit], unit == 0)
}

/// One decimal below ten, unless it is a whole number.
fn scaled(value: f64, unit: &str, whole: bool) -> String {
    if whole || value >= 9.95 || (value - value.round()).abs() < 0.05 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Mbit/s as cards are named: `100 Mbit/s`, `2.5 Gbit/s`.
pub fn mbps(speed: u32) -> String {
    if speed < 1000 { format!("{speed} Mbit/s") } else { scaled(f64::from(speed) / 1000.0, "Gbit/s", false) }
}

/// A duration: `0.4 s`, `42 s`, `2 min 05 s`, `1 h 02 min`, `3 d 4 h`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A measured number, to about four digits: `0.21`, `38.1`, `2712`, `48 211`. Very large and small ones by power of ten.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let trimmed = |text: String| {
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        if text == "-0" { "0".to_owned() } else { text.to_owned() }
    };
    match size {
        0.0 => "0".into(),
        s if !(0.0005..1e12).contains(&s) => format!("{value:.2e}"),
        s if s < 1.0 => trimmed(format!("{value:.3}")),
        s if s < 10.0 => trimmed(format!("{value:.2}")),
        s if s < 1000.0 => trimmed(format!("{value:.1}")),
        _ => grouped(value),
    }
}

/// A whole number, its digits in threes from ten thousand on, with narrow spaces that do not break.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len() > 4 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A moment: how long ago it was, with the moment itself on hover. `app.js` keeps the first up to date.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<time datetime="{{ iso }}" title="{{ iso }}" data-ago>{{ ago }}</time>"#,
    ext = "html"
)]
pub struct Moment {
    iso: String,
    ago: String,
}

impl HtmlSafe for Moment {}

impl Moment {
    /// As seen at `now`.
    pub fn new(at: Timestamp, now: OffsetDateTime) -> Self {
        Self { iso: at.to_string(), ago: ago((at.0 - now).whole_seconds()) }
    }
}

/// Distance from now, seconds; the past is negative.
fn ago(seconds: i64) -> String {
    let (size, ahead) = (seconds.unsigned_abs(), seconds > 0);
    let text = match size {
        0..2 => return "just now".into(),
        2..60 => format!("{size} s"),
        60..3600 => format!("{} min", size / 60),
        3600..86_400 => format!("{} h", size / 3600),
        _ => format!("{} d", size / 86_400),
    };
    if ahead { format!("in {text}") } else { format!("{text} ago") }
}

/// A sentence with a capital letter, unless it begins with a name such as `disk-quick` or `10.0.0.1`.
pub fn capital(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default().trim_end_matches([',', '.', ':']);
    if !word.chars().all(char::is_alphabetic) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [bytes(0), bytes(999), bytes(480_103_981_056), bytes(1_920_383_410_176)],
            ["0 B", "999 B", "480 GB", "1.9 TB"]
        );
        assert_eq!(
            [mib(512), mib(1024), mib(65_536), mib(1_572_864)],
            ["512 MiB", "1 GiB", "64 GiB", "1.5 TiB"]
        );
        assert_eq!([mbps(100), mbps(2500), mbps(25_000)], ["100 Mbit/s", "2.5 Gbit/s", "25 Gbit/s"]);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        assert_eq!(
            [0.44, 42.2, 125.0, 3725.0, 273_600.0].map(duration),
            ["0.4 s", "42 s", "2 min 05 s", "1 h 02 min", "3 d 4 h"]
        );
    }

    #[test]
    fn numbers_have_about_four_digits() {
        let shown =
            [0.0, 0.21, 2.5, 38.0, 268.11, 2712.4321, 48_211.77, -1_234_567.0, 1e15, 0.000_01].map(number);
        assert_eq!(
            shown,
            [
                "0",
                "0.21",
                "2.5",
                "38",
                "268.1",
                "2712",
                "48\u{202f}212",
                "-1\u{202f}234\u{202f}567",
                "1.00e15",
                "1.00e-5"
            ]
        );
    }

    #[test]
    fn sentences_begin_with_a_capital_and_names_stay() {
        assert_eq!(capital("waiting for a disk"), "Waiting for a disk");
        assert_eq!(capital("done"), "Done");
        assert_eq!(capital("disk-quick failed"), "disk-quick failed");
        assert_eq!(capital(""), "");
    }

    #[test]
    fn moments_are_relative_and_exact() {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(1);
        let shown = Moment::new(Timestamp(OffsetDateTime::UNIX_EPOCH), now).to_string();
        assert_eq!(
            shown,
            r#"<time datetime="1970-01-01T00:00:00Z" title="1970-01-01T00:00:00Z" data-ago>1 d ago</time>"#
        );
        assert_eq!(ago(90), "in 1 min");
    }
}
