//! `rackwright image list`, `show` and `delete`

use crate::console::{Console, ago, disk_size, path_part};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::image::Image;

/// List images.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Older versions too.
    #[arg(long, short)]
    all: bool,
}

impl List {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let page: Page<Image> = console.client.get("/images").await?;
        let mut images = page.items;
        if !self.all {
            images.dedup_by(|next, kept| next.name == kept.name);
        }
        console.list(&images, &["NAME", "VERSION", "KIND", "FILES", "SIZE", "REGISTERED", "TITLE"], |i| {
            let files: Vec<_> = i.files.iter().map(|f| f.name.as_str()).collect();
            vec![
                i.name.clone(),
                i.version.to_string(),
                i.kind.to_string(),
                files.join(","),
                disk_size(i.size()),
                ago(i.created_at),
                match (i.missing.is_empty(), i.lacking_in.is_empty()) {
                    (false, _) => lost(i),
                    (true, false) => format!("not yet in {}", i.lacking_in.join(", ")),
                    (true, true) => i.title.clone(),
                },
            ]
        })
    }
}

/// What to do about an image that is not whole.
fn lost(image: &Image) -> String {
    format!(
        "NOT IN THIS REGION: {}; it comes from another region that has it; if none has, load the image again",
        image.missing.join(", ")
    )
}

/// Show an image with its files and how it was made.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// `name`, or `name@version`.
    image: String,
}

impl Show {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let image: Image = console.client.get(&format!("/images/{}", path_part(&self.image))).await?;
        console.show(&image, |i| {
            let mut text = format!(
                "{}@{} ({}, {})\n  Title       {}\n  Registered  {}\n\nFiles\n",
                i.name, i.version, i.kind, i.architecture, i.title, i.created_at
            );
            if !i.missing.is_empty() {
                text = format!("{}\n{text}", lost(i));
            }
            if !i.lacking_in.is_empty() {
                text = format!("Not yet all of it in: {}\n{text}", i.lacking_in.join(", "));
            }
            for file in &i.files {
                text.push_str(&format!(
                    "  {:<24} {:>10}  {}\n",
                    file.name,
                    disk_size(file.size),
                    file.sha256
                ));
            }
            if !i.on_racks.is_empty() {
                text.push_str(&format!("\nAt hand on {}\n", i.on_racks.join(", ")));
            }
            text
        })
    }
}

/// Remove a version of an image; the newest when none is named.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// `name`, or `name@version`.
    image: String,
}

impl Delete {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        console.client.delete(&format!("/images/{}", path_part(&self.image))).await?;
        console.done(&format!("{} was removed", self.image))
    }
}
