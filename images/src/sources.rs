//! Which archives packages come from: the box's own apt sources (one-line and deb822 form), reduced to what serves a
//! Debian release, or a mirror that the operator names. No host name is built in; third-party archives on the box
//! (other suites) are left out, so that an image holds nothing but the distribution.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result, io};

/// Keyring of the Debian archive; used for a named mirror when the box has it.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One archive and suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Address of the archive.
    pub uri: String,
    /// Suite or code name ("bookworm", "bookworm-security").
    pub suite: String,
    /// Components ("main").
    pub components: Vec<String>,
    /// Absolute path of the keyring, when the source names one.
    pub signed_by: Option<String>,
    /// `trusted=yes`: signatures are not checked. Only ever copied from the box's own sources.
    pub trusted: bool,
}

impl Source {
    /// The source as one line of `sources.list`.
    #[must_use]
    pub fn line(&self) -> String {
        let mut options = Vec::new();
        if let Some(keyring) = &self.signed_by {
            options.push(format!("signed-by={keyring}"));
        }
        if self.trusted {
            options.push("trusted=yes".to_owned());
        }
        let options = if options.is_empty() { String::new() } else { format!("[{}] ", options.join(" ")) };
        format!("deb {options}{} {} {}", self.uri, self.suite, self.components.join(" "))
    }
}

/// The sources for `release`: from the mirror when one is named, else from the box's `/etc/apt`.
///
/// A mirror is an address (`http://…/debian`), for which the release and its updates are used, or whole `deb …` lines.
pub fn choose(mirror: Option<&str>, release: &str) -> Result<Vec<Source>> {
    let sources = match mirror {
        Some(text) if text.trim_start().starts_with("deb ") => parse_one_line(text),
        Some(uri) => named_mirror(uri.trim(), release),
        None => of_release(&read_box(Path::new("/etc/apt"))?, release),
    };
    if sources.is_empty() {
        return Err(Error::NoSources { release: release.to_owned() });
    }
    Ok(sources)
}

/// `sources.list` text of several sources.
#[must_use]
pub fn lines(sources: &[Source]) -> String {
    sources.iter().map(|s| s.line() + "\n").collect()
}

fn named_mirror(uri: &str, release: &str) -> Vec<Source> {
    let signed_by = Path::new(DEBIAN_KEYRING).exists().then(|| DEBIAN_KEYRING.to_owned());
    [release.to_owned(), format!("{release}-updates")]
        .into_iter()
        .map(|suite| Source {
            uri: uri.to_owned(),
            suite,
            components: vec!["main".to_owned()],
            signed_by: signed_by.clone(),
            trusted: false,
        })
        .collect()
}

/// Keeps the sources that serve `release`, its updates or its security suite, and of them the component `main`
/// (with `non-free-firmware` when the box has it: network cards of real machines need it).
#[must_use]
pub fn of_release(all: &[Source], release: &str) -> Vec<Source> {
    let wanted = [release.to_owned(), format!("{release}-updates"), format!("{release}-security")];
    all.iter()
        .filter(|s| wanted.iter().any(|w| w == s.suite.trim_end_matches('/')))
        .filter(|s| s.components.iter().any(|c| c == "main"))
        .map(|s| {
            let mut kept = s.clone();
            kept.components.retain(|c| c == "main" || c == "non-free-firmware");
            kept
        })
        .collect()
}

fn read_box(etc: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    let list = etc.join("sources.list");
    if list.exists() {
        found.extend(parse_one_line(&fs::read_to_string(&list).map_err(io("read", &list))?));
    }
    let parts = etc.join("sources.list.d");
    let Ok(entries) = fs::read_dir(&parts) else { return Ok(found) };
    let mut files: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    files.sort();
    for file in files {
        let parse = match file.extension().and_then(|e| e.to_str()) {
            Some("list") => parse_one_line,
            Some("sources") => parse_deb822,
            _ => continue,
        };
        found.extend(parse(&fs::read_to_string(&file).map_err(io("read", &file))?));
    }
    Ok(found)
}

/// Parses `sources.list(5)` one-line entries; comments, `deb-src` and lines it does not understand are left out.
#[must_use]
pub fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(one_line).collect()
}

fn one_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let mut options = "";
    if let Some(inside) = rest.strip_prefix('[') {
        let (before, after) = inside.split_once(']')?;
        (options, rest) = (before, after);
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let option = |name: &str| {
        options
            .split_whitespace()
            .filter_map(|o| o.split_once('='))
            .find(|(k, _)| k.eq_ignore_ascii_case(name))
    };
    Some(Source {
        uri,
        suite,
        components: words.collect(),
        signed_by: option("signed-by").map(|(_, v)| v.to_owned()).filter(|v| v.starts_with('/')),
        trusted: option("trusted").is_some_and(|(_, v)| v == "yes"),
    })
}

/// Parses deb822 `.sources` files. Disabled stanzas are left out, and so are keys written into the file itself: apt's
/// trusted folder is asked then.
#[must_use]
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let text: String =
        text.lines().filter(|l| !l.starts_with('#')).map(|l| l.trim_end().to_owned() + "\n").collect();
    text.split("\n\n").flat_map(stanza).collect()
}

fn stanza(text: &str) -> Vec<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let field = |name: &str| fields.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v.as_str());
    let words = |name: &str| field(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if field("enabled").eq_ignore_ascii_case("no") || !words("types").iter().any(|t| t == "deb") {
        return Vec::new();
    }
    let signed_by = Some(field("signed-by").to_owned()).filter(|v| v.starts_with('/') && !v.contains('\n'));
    let mut sources = Vec::new();
    for uri in words("uris") {
        for suite in words("suites") {
            sources.push(Source {
                uri: uri.clone(),
                suite,
                components: words("components"),
                signed_by: signed_by.clone(),
                trusted: field("trusted").eq_ignore_ascii_case("yes"),
            });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_entries_with_options_and_comments() {
        let text = "# deb http://commented/ x main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://one/debian bookworm main contrib # tail\n\
                    deb-src http://one/debian bookworm main\n\
                    deb http://two/debian\tbookworm-security  main\n";
        let lines: Vec<_> = parse_one_line(text).iter().map(Source::line).collect();
        assert_eq!(
            lines,
            [
                "deb [signed-by=/k.gpg] http://one/debian bookworm main contrib",
                "deb http://two/debian bookworm-security main"
            ]
        );
    }

    #[test]
    fn deb822_stanzas_multiply_addresses_and_suites() {
        let text = "Types: deb deb-src\n# a comment between fields\nURIs: http://m/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n\
                    Types: deb\nURIs: http://off/\nSuites: bookworm\nComponents: main\nEnabled: no\n\n\
                    Types: deb\nURIs: http://s/\nSuites: bookworm-security\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n";
        let lines: Vec<_> = parse_deb822(text).iter().map(Source::line).collect();
        assert_eq!(
            lines,
            [
                "deb [signed-by=/k.gpg] http://m/debian bookworm main",
                "deb [signed-by=/k.gpg] http://m/debian bookworm-updates main",
                "deb http://s/ bookworm-security main"
            ]
        );
    }

    #[test]
    fn third_party_suites_and_components_are_left_out() {
        let all = parse_one_line(
            "deb http://a/ bookworm main contrib non-free-firmware\ndeb http://b/ bookworm-pgdg main\n\
             deb http://c/ bookworm stable\ndeb http://d/ trixie main\ndeb http://e/ bookworm-backports main\n",
        );
        let kept: Vec<_> = of_release(&all, "bookworm").iter().map(Source::line).collect();
        assert_eq!(kept, ["deb http://a/ bookworm main non-free-firmware"]);
    }

    #[test]
    fn a_mirror_is_an_address_or_whole_lines() {
        let one = choose(Some("http://m/debian"), "bookworm").unwrap();
        assert_eq!(
            one.iter().map(|s| s.suite.as_str()).collect::<Vec<_>>(),
            ["bookworm", "bookworm-updates"]
        );
        let whole = choose(Some("deb [trusted=yes] file:/repo ./ main"), "bookworm").unwrap();
        assert_eq!(whole[0].line(), "deb [trusted=yes] file:/repo ./ main");
    }
}
