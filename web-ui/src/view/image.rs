//! Images.

use super::Layout;
use crate::format::{self, Moment};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::image::{Image, ImagePurpose};
use time::OffsetDateTime;

/// One version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `name@version`.
    pub reference: String,
    /// For people.
    pub title: String,
    /// What for.
    pub purpose: &'static str,
    /// The newest version of its name.
    pub current: bool,
    /// Architecture.
    pub architecture: String,
    /// Bytes in the store.
    pub size: String,
    /// Files: name, size, hash.
    pub files: Vec<(String, String, String)>,
    /// Regions that do not have all of it yet.
    pub lacking_in: String,
    /// When it was registered.
    pub created: Moment,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "images.html")]
pub struct ImagesPage {
    /// Around it.
    pub layout: Layout,
    /// By name, newest version first.
    pub rows: Vec<Row>,
    /// There is an image that machines can boot from the network.
    pub ephemeral: bool,
}

impl ImagesPage {
    /// Of all images.
    pub fn new(layout: Layout, images: &[Image], now: OffsetDateTime) -> Self {
        let size = |n: i64| format::bytes(n.unsigned_abs());
        let row = |i: &Image| Row {
            reference: format!("{}@{}", i.name, i.version),
            title: i.title.clone(),
            purpose: match i.kind {
                ImagePurpose::Os => "operating system",
                ImagePurpose::Ephemeral => "ephemeral environment",
                ImagePurpose::Toolbox => "test tools",
                ImagePurpose::Bootloaders => "boot loaders",
            },
            current: !images.iter().any(|o| o.name == i.name && o.version > i.version),
            architecture: i.architecture.clone(),
            size: size(i.size()),
            files: i.files.iter().map(|f| (f.name.clone(), size(f.size), f.sha256.clone())).collect(),
            lacking_in: i.lacking_in.join(", "),
            created: Moment::new(i.created_at, now),
        };
        Self {
            layout,
            rows: images.iter().map(row).collect(),
            ephemeral: images.iter().any(|i| i.kind == ImagePurpose::Ephemeral),
        }
    }
}

#[cfg(test)]
impl ImagesPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self::new(Layout::sample("Images"), &[super::sample::image()], super::sample_now())
    }
}
