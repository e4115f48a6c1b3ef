//! How many tests passed, read from the output of cargo's test harness.

use std::ops::AddAssign;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Passed.
    pub passed: u32,
    /// Failed.
    pub failed: u32,
    /// Marked to be left out.
    pub ignored: u32,
}

impl Count {
    /// The numbers of a line like `test result: ok. 3 passed; 0 failed; 1 ignored; …`; none for other lines.
    pub fn of_line(line: &str) -> Self {
        let mut count = Self::default();
        let Some((_, numbers)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return count;
        };
        for part in numbers.split("; ") {
            let mut words = part.split(' ');
            let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => count.passed = number,
                Some("failed") => count.failed = number,
                Some("ignored") => count.ignored = number,
                _ => {}
            }
        }
        count
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harness_own_line_is_read() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.1s";
        assert_eq!(Count::of_line(line), Count { passed: 12, failed: 2, ignored: 1 });
        assert_eq!(Count::of_line("test lease::renews ... ok"), Count::default());
        assert_eq!(Count::of_line("12 passed; 2 failed"), Count::default());
    }
}
