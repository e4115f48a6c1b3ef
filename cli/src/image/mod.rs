//! `rackwright image …`

mod build;
mod build_ephemeral;
mod import;
mod list;
mod load;
mod progress;

use crate::client::Client;
use crate::console::Console;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// What can be done with images.
#[derive(Debug, clap::Subcommand)]
pub enum ImageCommand {
    /// List images.
    List(list::List),
    /// Show an image with its files.
    Show(list::Show),
    /// Take in an image made elsewhere.
    Import(import::Import),
    /// Remove a version of an image.
    Delete(list::Delete),
    /// Build the environment that machines boot from the network.
    BuildEphemeral(build_ephemeral::BuildEphemeral),
    /// Build an image from distribution packages.
    Build(build::Build),
    /// Register what was built in a folder.
    #[command(alias = "upload")]
    Load(load::Load),
}

impl ImageCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        match self {
            Self::List(command) => command.run(console).await,
            Self::Show(command) => command.run(console).await,
            Self::Import(command) => command.run(console).await,
            Self::Delete(command) => command.run(console).await,
            Self::BuildEphemeral(command) => command.run(client).await,
            Self::Build(command) => command.run(client).await,
            Self::Load(command) => command.run(client).await,
        }
    }
}

/// Where builds go and what they are made from.
#[derive(Debug, Clone, clap::Args)]
struct BuildOptions {
    /// Folder for the result. Without it the result is registered with the region.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Folder for downloaded packages, kept between builds.
    #[arg(long, env = "RACKWRIGHT_CACHE", default_value = "/var/cache/rackwright")]
    cache: PathBuf,
    /// Package archive, instead of the box's own apt sources.
    #[arg(long)]
    mirror: Option<String>,
}

impl BuildOptions {
    /// The folder to build `name` in.
    fn target(&self, name: &str) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| self.cache.join("built").join(name))
    }

    /// Registers the result unless it was to stay a folder.
    async fn conclude(&self, client: &Client, folder: &Path) -> Result<()> {
        match &self.folder {
            Some(folder) => {
                println!(
                    "built in {}; register it with `rackwright image load {}`",
                    folder.display(),
                    folder.display()
                );
                Ok(())
            }
            None => load::load(client, folder).await,
        }
    }
}
