//! Parts of a blob (RFC 9110 section 14). One range only; more are answered with the whole, as is allowed.

use axum::http::HeaderMap;
use axum::http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// Bytes from the first to before the second.
    Range(u64, u64),
    /// Nothing of it is asked for.
    Unsatisfiable,
    /// The client has it.
    Unchanged,
}

/// What a request with these headers asks for, of a blob of `size` bytes with this entity tag.
pub(super) fn part(headers: &HeaderMap, size: u64, etag: &str) -> Part {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    if text(IF_NONE_MATCH).is_some_and(|tags| tags.trim() == "*" || tags.split(',').any(|t| t.trim() == etag))
    {
        return Part::Unchanged;
    }
    if text(IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Part::Whole;
    }
    text(RANGE).and_then(|range| parse(range, size)).unwrap_or(Part::Whole)
}

/// `None` for what is to be ignored.
fn parse(range: &str, size: u64) -> Option<Part> {
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (start, end) = match (first.trim(), last.trim()) {
        ("", suffix) => (size.saturating_sub(number(suffix)?), size),
        (start, "") => (number(start)?, size),
        (start, end) => {
            let (start, end) = (number(start)?, number(end)?);
            if end < start {
                return None;
            }
            (start, end.saturating_add(1).min(size))
        }
    };
    Some(if start < end { Part::Range(start, end) } else { Part::Unsatisfiable })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(range: &str) -> Part {
        part(&HeaderMap::from_iter([(RANGE, range.parse().unwrap())]), 100, "\"x\"")
    }

    #[test]
    fn ranges() {
        assert_eq!(part(&HeaderMap::new(), 100, "\"x\""), Part::Whole);
        assert_eq!(ask("bytes=0-0"), Part::Range(0, 1));
        assert_eq!(ask("bytes=10-19"), Part::Range(10, 20));
        assert_eq!(ask("bytes=10-"), Part::Range(10, 100));
        assert_eq!(ask("bytes=-10"), Part::Range(90, 100));
        assert_eq!(ask("bytes=-1000"), Part::Range(0, 100));
        assert_eq!(ask("bytes=90-99999999999999999999999"), Part::Range(90, 100));
        assert_eq!(ask("bytes=100-"), Part::Unsatisfiable);
        assert_eq!(ask("bytes=-0"), Part::Unsatisfiable);
        for ignored in
            ["bytes=5-3", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=", "bytes=-", "bytes=+1-2"]
        {
            assert_eq!(ask(ignored), Part::Whole, "{ignored}");
        }
    }

    #[test]
    fn a_range_of_another_content_is_not_given() {
        let headers = |tag: &str| {
            HeaderMap::from_iter([(RANGE, "bytes=1-".parse().unwrap()), (IF_RANGE, tag.parse().unwrap())])
        };
        assert_eq!(part(&headers("\"x\""), 100, "\"x\""), Part::Range(1, 100));
        assert_eq!(part(&headers("\"y\""), 100, "\"x\""), Part::Whole);
    }

    #[test]
    fn what_the_client_has_is_not_sent() {
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, "\"a\", \"x\"".parse().unwrap())]);
        assert_eq!(part(&headers, 100, "\"x\""), Part::Unchanged);
    }
}
