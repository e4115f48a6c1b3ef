//! Names, in wire form and lower case (RFC 1035 section 3.1, RFC 4343).

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Bytes of a name in wire form, at most.
pub(crate) const MAX: usize = 255;

/// A full name: labels with their lengths, ending with the root. Lower case, so that equal names are equal bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

/// The text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: labels of 1 to 63 letters, digits, hyphens or underscores, with dots between")]
pub struct InvalidName(String);

impl Name {
    /// The name of everything.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// From wire form without pointers, in any case.
    pub(crate) fn from_wire(wire: &[u8]) -> Self {
        Self(wire.to_ascii_lowercase().into())
    }

    /// Wire form.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is `other` or below it.
    pub fn is_under(&self, other: &Name) -> bool {
        is_under(&self.0, &other.0)
    }

    /// The name without its first label; the root has none.
    pub fn parent(&self) -> Option<Name> {
        parent(&self.0).map(|wire| Self(wire.into()))
    }

    /// The labels, first to last, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            if length == 0 {
                return None;
            }
            let (label, next) = after.split_at(usize::from(length));
            rest = next;
            Some(label)
        })
    }

    /// `label` in front of this name; none when that is too long.
    pub fn child(&self, label: &str) -> Option<Name> {
        if label.is_empty() || label.len() > 63 || !label.bytes().all(is_allowed) {
            return None;
        }
        let mut wire = Vec::with_capacity(1 + label.len() + self.0.len());
        wire.push(u8::try_from(label.len()).ok()?);
        wire.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
        wire.extend_from_slice(&self.0);
        (wire.len() <= MAX).then(|| Self(wire.into()))
    }

    /// Whether every label is one of a host name (RFC 1123): letters, digits and inner hyphens.
    pub fn is_host_name(&self) -> bool {
        let host = |label: &[u8]| {
            label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
                && !label.starts_with(b"-")
                && !label.ends_with(b"-")
        };
        self.0.len() > 1 && self.labels().all(host)
    }

    /// Whether its first label is `*` (RFC 4592).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }
}

/// Whether a name in wire form is another one or below it.
pub(crate) fn is_under(name: &[u8], other: &[u8]) -> bool {
    let mut rest = Some(name);
    while let Some(here) = rest {
        if here.len() < other.len() {
            return false;
        }
        if here.len() == other.len() {
            return here == other;
        }
        rest = parent(here);
    }
    false
}

/// Wire form without the first label.
pub(crate) fn parent(wire: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*wire.first()?);
    if length == 0 { None } else { wire.get(1 + length..) }
}

/// The order of names in a signed zone (RFC 4034 section 6.1): by labels, the last one first. Both in lower case.
pub(crate) fn canonical(one: &[u8], other: &[u8]) -> Ordering {
    let (one, other) = (labels(one), labels(other));
    one.iter().rev().cmp(other.iter().rev())
}

fn labels(wire: &[u8]) -> Vec<&[u8]> {
    let (mut labels, mut rest) = (Vec::with_capacity(8), wire);
    while let Some((&length, after)) = rest.split_first()
        && length > 0
    {
        let (label, next) = after.split_at(usize::from(length).min(after.len()));
        labels.push(label);
        rest = next;
    }
    labels
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_*/".contains(&byte)
}

impl FromStr for Name {
    type Err = InvalidName;

    /// Every name is a full one, with or without a dot at its end.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidName(text.chars().take(80).collect());
        if text == "." {
            return Ok(Self::root());
        }
        let mut name = Self::root();
        for label in text.strip_suffix('.').unwrap_or(text).rsplit('.') {
            name = name.child(label).ok_or_else(invalid)?;
        }
        Ok(name)
    }
}

impl fmt::Display for Name {
    /// Without the dot at the end. What is not printable is written `\DDD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for (number, label) in self.labels().enumerate() {
            if number > 0 {
                f.write_str(".")?;
            }
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(byte))?;
                    }
                    0x21..=0x7e => write!(f, "{}", char::from(byte))?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_equal_in_any_case_and_with_or_without_the_dot() {
        assert_eq!(name("WWW.Lab.Example."), name("www.lab.example"));
        assert_eq!(name("www.lab.example").wire(), b"\x03www\x03lab\x07example\x00");
        assert_eq!(name("www.lab.example").to_string(), "www.lab.example");
        assert_eq!(name(".").to_string(), ".");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "x".repeat(64);
        let longer = ["abcdefghi"; 26].join(".");
        for text in ["", "..", "a..b", "a b", "a.\u{e4}", ".a", &long, &longer] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn under_means_by_whole_labels() {
        assert!(name("a.lab").is_under(&name("lab")));
        assert!(name("lab").is_under(&name("lab")));
        assert!(!name("alab").is_under(&name("lab")));
        assert!(name("lab").is_under(&Name::root()));
        assert!(!name("lab").is_under(&name("a.lab")));
    }

    #[test]
    fn names_are_in_the_order_of_rfc_4034() {
        let wire = |text: &[u8]| Name::from_wire(text);
        let mut names = [
            name("example"),
            name("a.example"),
            name("yljkjljk.a.example"),
            name("Z.a.example"),
            name("zABC.a.EXAMPLE"),
            name("z.example"),
            wire(b"\x01\x01\x01z\x07example\x00"),
            name("*.z.example"),
            wire(b"\x01\xc8\x01z\x07example\x00"),
        ];
        let ordered = names.clone();
        names.reverse();
        names.sort_by(|a, b| canonical(a.wire(), b.wire()));
        assert_eq!(names, ordered);
    }

    #[test]
    fn host_names_have_no_underscores_and_no_outer_hyphens() {
        assert!(name("node-1.lab").is_host_name());
        for text in ["_sip._tcp.lab", "-a.lab", "*.lab", "."] {
            assert!(!name(text).is_host_name(), "{text}");
        }
        assert!(name("*.lab").is_wildcard());
    }
}
