//! `rackwright completions` and `rackwright man`.

use crate::Cli;
use crate::console::print;
use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

/// Print completions for a shell, such as `rackwright completions bash > /etc/bash_completion.d/rackwright`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    /// Does it.
    pub fn run(self) -> Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "rackwright", &mut text);
        print(String::from_utf8(text)?.trim_end())
    }
}

/// Print the manual page, such as `rackwright man | man -l -`.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Of one command only, such as `machine`.
    command: Option<String>,
}

impl Man {
    /// Does it.
    pub fn run(self) -> Result<()> {
        let mut root = Cli::command();
        root.build();
        let command = match &self.command {
            Some(name) => root
                .find_subcommand(name)
                .ok_or_else(|| anyhow::anyhow!("there is no command `{name}`"))?
                .clone()
                .display_name(format!("rackwright-{name}")),
            None => root,
        };
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text)?;
        print(String::from_utf8(text)?.trim_end())
    }
}
