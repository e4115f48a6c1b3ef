//! The groups of tests, as data. A new package with integration tests is a new word here.

use super::count::Count;
use crate::chaos;
use crate::packages::Need;
use crate::setup;
use anyhow::Result;
use rackwright_lab::state::workspace;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Tests that need the same things.
pub struct Group {
    /// The word after `--only`.
    pub name: &'static str,
    /// What it shows.
    pub what: &'static str,
    /// Packages of the distribution.
    pub needs: &'static [Need],
    /// What is built or started first.
    pub prepare: &'static [Prepare],
    /// What runs, in order.
    pub steps: &'static [Step],
    /// The whole group has to be done by then.
    pub limit: Duration,
}

/// What is built or started before a group; each gives its tests an environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepare {
    /// A private PostgreSQL: `DATABASE_URL`.
    Postgres,
    /// `rackwright`: `RACKWRIGHT_TEST_PROGRAM`.
    Product,
    /// The static agent: `RACKWRIGHT_TEST_AGENT`.
    Agent,
    /// The chassis program of labs: `RACKWRIGHT_LAB_PROGRAM`; our simulators of BMCs:
    /// `RACKWRIGHT_TEST_BMC_SIM`, `RACKWRIGHT_TEST_AMT_SIM`.
    Lab,
}

/// One command.
#[derive(Debug)]
pub enum Step {
    /// cargo, as one test: it passes or fails.
    Cargo {
        /// Name in the summary.
        name: &'static str,
        /// Arguments of cargo.
        arguments: &'static [&'static str],
    },
    /// xtask itself, as one test.
    Xtask {
        /// Name in the summary.
        name: &'static str,
        /// Arguments of xtask.
        arguments: &'static [&'static str],
        /// It runs when this exists in the workspace.
        when: &'static str,
    },
    /// `cargo test` with these arguments; its tests are counted.
    Tests {
        /// Arguments of `cargo test`.
        arguments: &'static [&'static str],
    },
    /// Every integration test of the packages in these folders that have some.
    Integration {
        /// Folders of packages; a package is named `rackwright-<last part>`.
        folders: &'static [&'static str],
    },
    /// One integration test of `rackwright-tests`, when it exists.
    EndToEnd {
        /// The file `tests/tests/<name>.rs` or `tests/tests/<name>/main.rs`.
        name: &'static str,
    },
}

const MINUTE: u64 = 60;

/// All groups, in the order in which they run.
pub const GROUPS: &[Group] = &[
    Group {
        name: "lint",
        what: "formatted, no warnings, licences in order, .sqlx is what the code says",
        needs: &[Need::Run],
        prepare: &[],
        steps: &[
            Step::Cargo { name: "rustfmt", arguments: &["fmt", "--all", "--check"] },
            Step::Cargo {
                name: "clippy",
                arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
            },
            Step::Xtask { name: "deny", arguments: &["deny"], when: "deny.toml" },
            Step::Xtask { name: "sqlx", arguments: &["sqlx", "--check"], when: ".sqlx" },
        ],
        limit: Duration::from_secs(20 * MINUTE),
    },
    Group {
        name: "unit",
        what: "tests beside the code; they need nothing",
        needs: &[Need::Run],
        prepare: &[],
        steps: &[Step::Tests { arguments: &["--workspace", "--lib", "--bins", "--no-fail-fast"] }],
        limit: Duration::from_secs(20 * MINUTE),
    },
    Group {
        name: "protocols",
        what: "every protocol against programs nobody here wrote",
        needs: setup::TEST,
        prepare: &[Prepare::Lab],
        steps: &[
            Step::Xtask { name: "fuzz", arguments: &["fuzz", "--seconds", "30"], when: "protocols/fuzz" },
            Step::Integration {
                folders: &[
                    "common",
                    "protocols/dhcp",
                    "protocols/tftp",
                    "protocols/ipmi",
                    "protocols/amt",
                    "protocols/dns",
                    "services",
                    "link",
                    "rack",
                    "agent",
                ],
            },
        ],
        limit: Duration::from_secs(20 * MINUTE),
    },
    Group {
        name: "db",
        what: "the region on a real PostgreSQL",
        needs: &[Need::Run, Need::Test],
        prepare: &[Prepare::Postgres],
        steps: &[Step::Integration { folders: &["region"] }],
        limit: Duration::from_secs(20 * MINUTE),
    },
    Group {
        name: "images",
        what: "images and the ephemeral environment from packages",
        needs: setup::TEST,
        prepare: &[Prepare::Agent],
        steps: &[Step::Integration { folders: &["images"] }],
        limit: Duration::from_secs(20 * MINUTE),
    },
    Group {
        name: "lab",
        what: "machines, BMCs, and that nothing stays behind",
        needs: setup::TEST,
        prepare: &[Prepare::Lab],
        steps: &[Step::Integration { folders: &["tests/lab"] }],
        limit: Duration::from_secs(10 * MINUTE),
    },
    Group {
        name: "e2e",
        what: "from power-on to deployed, and what goes wrong on the way",
        needs: setup::END_TO_END,
        prepare: &[Prepare::Product, Prepare::Agent, Prepare::Lab],
        steps: &[
            // The whole path on BIOS and UEFI, as a newcomer sees it; it also builds the images for the others.
            Step::Xtask { name: "demo", arguments: &["demo", "--exit"], when: "xtask/src/demo" },
            Step::EndToEnd { name: "controller" },
            Step::EndToEnd { name: "two_racks" },
            Step::EndToEnd { name: "network_time" },
            Step::EndToEnd { name: "several_regions" },
            Step::EndToEnd { name: "ha_drill" },
            Step::Xtask { name: "previous", arguments: &["previous"], when: "xtask/src/previous.rs" },
            Step::Xtask {
                name: "chaos",
                arguments: &["chaos", "--seed", chaos::SEEDS, "--rounds", chaos::ROUNDS, "--planted"],
                when: "xtask/src/chaos",
            },
            // Of the programs that were built for these tests.
            Step::Xtask { name: "package", arguments: &["package", "--debug"], when: "packaging" },
            Step::EndToEnd { name: "rack_dies" },
            Step::EndToEnd { name: "deploys" },
        ],
        limit: Duration::from_secs(55 * MINUTE),
    },
    Group {
        name: "ui",
        what: "the web pages in a browser",
        needs: setup::BROWSER,
        prepare: &[Prepare::Postgres],
        steps: &[Step::Integration { folders: &["web-ui"] }],
        limit: Duration::from_secs(10 * MINUTE),
    },
];

impl Step {
    /// Name in the summary.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cargo { name, .. } | Self::Xtask { name, .. } | Self::EndToEnd { name } => name,
            Self::Tests { .. } | Self::Integration { .. } => "tests",
        }
    }

    /// Whether there is something to run.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Cargo { .. } | Self::Tests { .. } => true,
            Self::Xtask { when, .. } => workspace().join(when).exists(),
            Self::Integration { folders } => folders.iter().any(|folder| has_integration_tests(folder)),
            Self::EndToEnd { name } => integration_tests("tests").iter().any(|test| test == name),
        }
    }

    /// The program and its arguments.
    pub fn command_line(&self) -> Result<(OsString, Vec<String>)> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let test = |words: &[&str]| [owned(&["test"]), owned(words)].concat();
        Ok(match self {
            Self::Cargo { arguments, .. } => (cargo, owned(arguments)),
            Self::Xtask { arguments, .. } => (std::env::current_exe()?.into_os_string(), owned(arguments)),
            Self::Tests { arguments } => (cargo, test(arguments)),
            Self::EndToEnd { name } => (cargo, test(&["--workspace", "--test", name])),
            // Named tests of the whole workspace rather than whole packages: so every group builds with the same
            // features, and shares what was built.
            Self::Integration { folders } => {
                let mut line = test(&["--no-fail-fast", "--workspace"]);
                for name in folders.iter().flat_map(|folder| integration_tests(folder)) {
                    line.extend(["--test".to_owned(), name]);
                }
                (cargo, line)
            }
        })
    }

    /// The step's count, given what its output said and how it ended. A program that ends badly without
    /// naming a failed test has failed as a whole.
    pub fn judge(&self, mut count: Count, success: bool) -> Count {
        match self {
            Self::Cargo { .. } | Self::Xtask { .. } => {
                Count { passed: u32::from(success), failed: u32::from(!success), ignored: 0 }
            }
            Self::Tests { .. } | Self::Integration { .. } | Self::EndToEnd { .. } => {
                if !success && count.failed == 0 {
                    count.failed = 1;
                }
                count
            }
        }
    }
}

fn has_integration_tests(folder: &str) -> bool {
    !integration_tests(folder).is_empty()
}

/// The names of the integration tests of a package, sorted.
fn integration_tests(folder: &str) -> Vec<String> {
    let tests: PathBuf = workspace().join(folder).join("tests");
    let Ok(entries) = std::fs::read_dir(tests) else { return Vec::new() };
    let name = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let is_test =
        |path: &PathBuf| path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").exists();
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.path()).filter(is_test).filter_map(name).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_packages_exist() {
        for (at, group) in GROUPS.iter().enumerate() {
            assert!(GROUPS[..at].iter().all(|other| other.name != group.name), "{} twice", group.name);
            for step in group.steps {
                let Step::Integration { folders } = step else { continue };
                for folder in *folders {
                    let manifest = workspace().join(folder).join("Cargo.toml");
                    assert!(manifest.exists(), "{}", manifest.display());
                }
            }
        }
    }

    #[test]
    fn a_test_of_one_name_runs_in_one_group() {
        let mut seen: Vec<(&str, String)> = Vec::new();
        for group in GROUPS {
            for step in group.steps {
                let Step::Integration { folders } = step else { continue };
                for name in folders.iter().flat_map(|folder| integration_tests(folder)) {
                    let elsewhere = seen.iter().find(|(other, n)| *n == name && *other != group.name);
                    assert_eq!(elsewhere, None, "{name} of {} would run in both groups", group.name);
                    seen.push((group.name, name));
                }
            }
        }
    }

    #[test]
    fn a_program_that_crashes_counts_as_a_failure() {
        let step = Step::Tests { arguments: &[] };
        let passed = Count { passed: 3, ..Count::default() };
        assert_eq!(step.judge(passed, true), passed);
        assert_eq!(step.judge(passed, false).failed, 1);
        let check = Step::Cargo { name: "rustfmt", arguments: &[] };
        assert_eq!(check.judge(Count::default(), true).passed, 1);
    }
}
