//! Images.

use super::form::Form;
use super::{Layout, Pill};
use crate::command;
use crate::format::{self, Moment};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::image::{Image, ImagePurpose, ImageUse};
use rackwright_region::model::{Page, Role};
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
    /// Racks that have all of it at hand.
    pub on_racks: String,
    /// When it was registered.
    pub created: Moment,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "images.html")]
pub struct ImagesPage {
    /// Around it.
    pub layout: Layout,
    /// May change them.
    pub administrator: bool,
    /// By name, newest version first.
    pub rows: Vec<Row>,
    /// There is an image that machines can boot from the network.
    pub ephemeral: bool,
}

impl ImagesPage {
    /// Of all images.
    pub fn new(layout: Layout, images: &[Image], now: OffsetDateTime) -> Self {
        let row = |i: &Image| {
            let newer = images.iter().any(|o| o.name == i.name && o.version > i.version);
            Row::new(i, !newer, now)
        };
        Self {
            administrator: layout.role >= Role::Administrator,
            layout,
            rows: images.iter().map(row).collect(),
            ephemeral: images.iter().any(|i| i.kind == ImagePurpose::Ephemeral),
        }
    }
}

impl Row {
    /// Of one version.
    pub fn new(i: &Image, current: bool, now: OffsetDateTime) -> Self {
        let size = |n: i64| format::bytes(n.unsigned_abs());
        Self {
            reference: format!("{}@{}", i.name, i.version),
            title: i.title.clone(),
            purpose: match i.kind {
                ImagePurpose::Os => "operating system",
                ImagePurpose::Ephemeral => "ephemeral environment",
                ImagePurpose::Toolbox => "test tools",
                ImagePurpose::Bootloaders => "boot loaders",
            },
            current,
            architecture: i.architecture.clone(),
            size: size(i.size()),
            files: i.files.iter().map(|f| (f.name.clone(), size(f.size), f.sha256.clone())).collect(),
            lacking_in: i.lacking_in.join(", "),
            on_racks: i.on_racks.join(", "),
            created: Moment::new(i.created_at, now),
        }
    }
}

/// The page of one version.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "image.html")]
pub struct ImagePage {
    /// Around it.
    pub layout: Layout,
    /// What it is.
    pub row: Row,
    /// Files that this region lacks.
    pub missing: String,
    /// How it was made, JSON.
    pub manifest: String,
    /// Machines that run it: identifier, name, status.
    pub uses: Vec<(String, String, Pill)>,
    /// How many do.
    pub total: i64,
    /// Removes it.
    pub delete_form: Option<Form>,
}

impl ImagePage {
    /// Of one version, with those who use it.
    pub fn new(
        layout: Layout,
        image: &Image,
        current: bool,
        uses: &Page<ImageUse>,
        now: OffsetDateTime,
    ) -> Self {
        let row = Row::new(image, current, now);
        let manifest = match &image.manifest {
            serde_json::Value::Object(all) if all.is_empty() => String::new(),
            some => serde_json::to_string_pretty(some).unwrap_or_default(),
        };
        let delete_form = (layout.role >= Role::Administrator).then(|| {
            Form::new("delete", format!("/images/{}/delete", row.reference), &layout.csrf, Vec::new())
                .titled("Remove", format!("Remove {}", row.reference))
                .intro("Machines that run it go on; it cannot be deployed any more.")
                .danger()
                .command(command::IMAGE_DELETE, vec![("reference", row.reference.clone())])
        });
        let used = |u: &ImageUse| (u.machine.to_string(), u.hostname.clone(), Pill::of_status(u.status));
        Self {
            missing: image.missing.join(", "),
            manifest,
            uses: uses.items.iter().map(used).collect(),
            total: uses.total,
            delete_form,
            row,
            layout,
        }
    }

    /// Machines that are not shown.
    pub fn more(&self) -> i64 {
        self.total.saturating_sub(i64::try_from(self.uses.len()).unwrap_or(i64::MAX))
    }
}

/// The form for a new one.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "image_new.html")]
pub struct NewImagePage {
    /// Around it.
    pub layout: Layout,
}

#[cfg(test)]
impl NewImagePage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self { layout: Layout { user: super::sample::MARKUP.to_owned(), ..Layout::sample("Images") } }
    }
}

#[cfg(test)]
impl ImagePage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample::MARKUP;
        let used = serde_json::json!({ "machine": "k3x9ab", "hostname": MARKUP, "status": "deployed" });
        let used: ImageUse = serde_json::from_value(used).expect("a sample fits its model");
        let layout = Layout { role: Role::Administrator, ..Layout::sample("Images") };
        Self::new(layout, &super::sample::image(), true, &Page::whole(vec![used]), super::sample_now())
    }
}

#[cfg(test)]
impl ImagesPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self::new(Layout::sample("Images"), &[super::sample::image()], super::sample_now())
    }
}
