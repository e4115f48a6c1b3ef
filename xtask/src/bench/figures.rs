//! Figures of several runs, and moments as the API writes them.

use anyhow::{Context, Result};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The middle one, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => sorted.get(middle).copied(),
        _ => Some((sorted.get(middle - 1)? + sorted.get(middle)?) / 2.0),
    }
}

/// Seconds since 1970.
pub fn seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// When a file was last written, seconds since 1970.
pub fn written_at(file: &Path) -> Result<f64> {
    let metadata = file.metadata().with_context(|| file.display().to_string())?;
    Ok(seconds(metadata.modified()?))
}

/// Seconds since 1970 of a moment of the API: RFC 3339 in UTC, `2026-11-22T06:30:00.25Z`.
pub fn moment(text: &str) -> Result<f64> {
    parse(text).with_context(|| format!("{text:?} is not a moment in UTC"))
}

fn parse(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|word| word.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':').map(|word| word.parse::<f64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    Some(days(year, month, day)? as f64 * 86_400.0 + hours * 3600.0 + minutes * 60.0 + seconds)
}

/// Days from 1 January 1970 in the Gregorian calendar: years are counted from March, so that the day that some have
/// more is the last one of its year.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn moments_of_the_api() {
        assert_eq!(moment("1970-01-01T00:00:00Z").unwrap(), 0.0);
        assert_eq!(moment("2023-11-14T22:13:20.25Z").unwrap(), 1_700_000_000.25);
        assert_eq!(moment("2024-02-29T12:00:00Z").unwrap(), 1_709_208_000.0);
        for wrong in ["", "2023-11-14", "2023-11-14T22:13:20+01:00", "2023-13-01T00:00:00Z", "T:Z"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
