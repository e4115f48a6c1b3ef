//! Licence expressions (SPDX specification, annex "licence expressions"): `(MIT OR Apache-2.0) AND Unicode-3.0`, and
//! the `MIT/Apache-2.0` of old packages. Whoever may choose takes what is allowed.

use anyhow::{Result, bail, ensure};

/// Whether `expression` can be satisfied with allowed licences only; an expression that cannot be read is an error.
pub fn is_allowed(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    let value = reader.any()?;
    ensure!(reader.words.is_empty(), "cannot read the licence `{expression}`");
    Ok(value)
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn take(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.words = &self.words[1..];
        }
        is_next
    }

    /// `… OR …`, which binds less than AND.
    fn any(&mut self) -> Result<bool> {
        let mut value = self.all()?;
        while self.take("OR") {
            value |= self.all()?;
        }
        Ok(value)
    }

    fn all(&mut self) -> Result<bool> {
        let mut value = self.one()?;
        while self.take("AND") {
            value &= self.one()?;
        }
        Ok(value)
    }

    fn one(&mut self) -> Result<bool> {
        if self.take("(") {
            let value = self.any()?;
            ensure!(self.take(")"), "a licence lacks a closing bracket");
            return Ok(value);
        }
        let Some((name, rest)) = self.words.split_first() else { bail!("a licence ends too early") };
        ensure!(!["OR", "AND", "WITH", ")"].contains(name), "a licence has `{name}` where a name should be");
        self.words = rest;
        if !self.take("WITH") {
            return Ok((self.allowed)(name));
        }
        let Some((exception, rest)) = self.words.split_first() else { bail!("a licence ends too early") };
        self.words = rest;
        Ok((self.allowed)(&format!("{name} WITH {exception}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(expression: &str) -> bool {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"];
        is_allowed(expression, &|name| allowed.contains(&name)).unwrap()
    }

    #[test]
    fn one_may_choose_and_must_take_all_of_what_is_joined() {
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/GPL-3.0",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "MIT OR GPL-2.0 AND GPL-3.0",
        ] {
            assert!(fits(good), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR Apache-2.0) AND GPL-3.0",
            "GPL-2.0 WITH Classpath-exception-2.0",
            "MIT WITH Classpath-exception-2.0",
        ] {
            assert!(!fits(bad), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for broken in ["", "MIT OR", "(MIT", "MIT Apache-2.0", "OR MIT", "MIT WITH", "MIT)"] {
            assert!(is_allowed(broken, &|_| true).is_err(), "{broken:?}");
        }
    }
}
