//! The few kinds of arguments that xtask has: words, flags, options with a value.

use anyhow::{Result, bail, ensure};
use std::collections::VecDeque;

/// What is left of the command line.
#[derive(Debug)]
pub struct Arguments(VecDeque<String>);

impl Arguments {
    /// The arguments of this process, without its name.
    pub fn from_environment() -> Self {
        let mut all: VecDeque<String> = std::env::args().skip(1).collect();
        if all.iter().any(|word| word == "--help" || word == "-h") && all.front().is_none_or(|w| w != "lab") {
            all = VecDeque::from(["help".to_owned()]);
        }
        Self(all)
    }

    /// Takes the first argument.
    pub fn word(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// Takes the first argument, which is needed.
    pub fn required(&mut self, what: &str) -> Result<String> {
        match self.word() {
            Some(word) if !word.starts_with("--") => Ok(word),
            _ => bail!("{what} is missing"),
        }
    }

    /// Takes `--name` from anywhere before a `--`.
    pub fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().take_while(|word| *word != "--").position(|word| word == name);
        at.and_then(|at| self.0.remove(at)).is_some()
    }

    /// Takes `--name VALUE` or `--name=VALUE` from anywhere before a `--`.
    pub fn option(&mut self, name: &str) -> Result<Option<String>> {
        let with_sign = format!("{name}=");
        let mut ours = self.0.iter().take_while(|word| *word != "--");
        let Some(at) = ours.position(|word| word == name || word.starts_with(&with_sign)) else {
            return Ok(None);
        };
        let Some(word) = self.0.remove(at) else { return Ok(None) };
        match (word.strip_prefix(&with_sign), at < self.0.len()) {
            (Some(value), _) => Ok(Some(value.to_owned())),
            (None, true) => Ok(self.0.remove(at)),
            (None, false) => bail!("{name} needs a value"),
        }
    }

    /// Everything that is left, without the `--` that may come first.
    pub fn rest(mut self) -> Vec<String> {
        self.0.pop_front_if(|word| word == "--");
        self.0.into()
    }

    /// An error when something is left.
    pub fn done(self) -> Result<()> {
        ensure!(self.0.is_empty(), "unknown argument {:?}", self.0[0]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Arguments {
        Arguments(text.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn words_flags_and_options_in_any_order() {
        let mut arguments = given("up --prefix p1 --json --plan=x.json");
        assert_eq!(arguments.word().as_deref(), Some("up"));
        assert_eq!(arguments.option("--plan").unwrap().as_deref(), Some("x.json"));
        assert!(arguments.flag("--json") && !arguments.flag("--json"));
        assert_eq!(arguments.option("--prefix").unwrap().as_deref(), Some("p1"));
        arguments.done().unwrap();
    }

    #[test]
    fn what_follows_two_hyphens_is_somebody_elses() {
        let mut arguments = given("ctl -- curl --json --prefix=x");
        assert!(!arguments.flag("--json"));
        assert_eq!(arguments.option("--prefix").unwrap(), None);
        arguments.word();
        assert_eq!(arguments.rest(), ["curl", "--json", "--prefix=x"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert!(given("--only").option("--only").is_err());
        assert_eq!(given("--jason").done().unwrap_err().to_string(), "unknown argument \"--jason\"");
        assert!(given("").required("a machine's name").is_err());
    }
}
