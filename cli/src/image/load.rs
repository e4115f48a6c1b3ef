//! `rackwright image load FOLDER`: uploads what a build left in a folder, and registers it.

use super::progress::bytes_bar;
use crate::client::Client;
use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use rackwright_region::model::image::{Image, ImageFile, ImagePurpose, NewImage, Upload};
use reqwest::Method;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Register what was built in a folder.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// Folder with a `manifest.json`.
    folder: PathBuf,
}

impl Load {
    /// Does it.
    pub async fn run(self, client: &Client) -> Result<()> {
        load(client, &self.folder).await
    }
}

/// A file to upload, and the name under which the image has it.
struct Part {
    file: PathBuf,
    image_file: ImageFile,
}

/// Uploads a folder's files and registers the image. What is in the store already is not sent again.
pub async fn load(client: &Client, folder: &Path) -> Result<()> {
    let path = folder.join("manifest.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: Map<String, Value> =
        serde_json::from_str(&text).with_context(|| format!("{} makes no sense", path.display()))?;
    let (new, parts) = describe(folder, manifest)?;
    for part in &parts {
        upload(client, &new.name, part).await?;
    }
    let made: Image = client.post("/images", &new).await?;
    println!("{}@{} is registered ({} MiB)", made.name, made.version, made.size() >> 20);
    Ok(())
}

/// What a manifest describes, as the region registers it.
fn describe(folder: &Path, manifest: Map<String, Value>) -> Result<(NewImage, Vec<Part>)> {
    let (name, kind, list) = match (
        manifest.get("kind").and_then(Value::as_str),
        manifest.get("name").and_then(Value::as_str),
    ) {
        (Some("ephemeral"), _) => ("ephemeral", ImagePurpose::Ephemeral, "files"),
        (Some("toolbox"), _) => ("toolbox", ImagePurpose::Toolbox, "files"),
        (Some("boot-loaders"), _) => ("bootloaders", ImagePurpose::Bootloaders, "files"),
        (None, Some(name)) => (name, ImagePurpose::Os, "images"),
        _ => bail!(
            "the manifest says neither what it is nor its name; was it written by `rackwright image build`?"
        ),
    };
    let files = manifest.get(list).and_then(Value::as_array).context("the manifest lists no files")?;
    let parts = files.iter().map(|f| part(folder, f)).collect::<Result<Vec<_>>>()?;
    let new = NewImage {
        name: name.to_owned(),
        kind,
        title: manifest.get("title").and_then(Value::as_str).unwrap_or_default().to_owned(),
        architecture: "x86_64".into(),
        files: parts.iter().map(|p| p.image_file.clone()).collect(),
        manifest: manifest.clone(),
    };
    Ok((new, parts))
}

fn part(folder: &Path, entry: &Value) -> Result<Part> {
    let text =
        |name: &str| entry[name].as_str().with_context(|| format!("a file of the manifest has no {name}"));
    let file_name = text("name")?;
    let size = entry["size"].as_i64().context("a file of the manifest has no size")?;
    let name = match entry["kind"].as_str() {
        Some("disk") => "disk",
        Some("root-tar") => "rootfs",
        _ => file_name,
    };
    let image_file = ImageFile {
        name: name.to_owned(),
        sha256: text("sha256")?.to_owned(),
        size,
        uncompressed_size: entry["uncompressed_size"].as_i64().unwrap_or(size),
    };
    Ok(Part { file: folder.join(file_name), image_file })
}

/// Bytes sent with one request. A region that refuses lets the rest of a request pass before its reason is heard.
const AT_ONCE: u64 = 32 << 20;

/// Sends a file from where an earlier try stopped.
async fn upload(client: &Client, image: &str, part: &Part) -> Result<()> {
    let ImageFile { name, sha256, size, .. } = &part.image_file;
    let path = format!("/images/{image}/files/{name}?sha256={sha256}");
    let total = u64::try_from(*size).context("a negative size")?;
    let bar = bytes_bar(Some(total), name);
    let mut state: Upload = client.get(&path).await?;
    while !state.complete {
        // All of it is there and was never checked: it is sent anew.
        let from = if state.received < total { state.received } else { 0 };
        let end = total.min(from + AT_ONCE);
        bar.set_position(from);
        // Without a key: what is repeated goes on from the byte that the region has.
        let request = client
            .request(Method::POST, &path)
            .header("content-range", format!("bytes {from}-{}/{total}", end.saturating_sub(1)))
            .body(piece(&part.file, from, end, bar.clone()).await?);
        state = client.send(request).await?;
        if !state.complete && state.received != end {
            bail!("{name} was not taken whole: {} of {total} bytes", state.received);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// The bytes of a file from `from` up to `end`; the bar moves as they go.
async fn piece(path: &Path, from: u64, end: u64, bar: ProgressBar) -> Result<reqwest::Body> {
    let unreadable = || format!("cannot read {}", path.display());
    let mut file = tokio::fs::File::open(path).await.with_context(unreadable)?;
    file.seek(std::io::SeekFrom::Start(from)).await.with_context(unreadable)?;
    let stream = futures_util::stream::try_unfold(file.take(end - from), move |mut file| {
        let bar = bar.clone();
        async move {
            let mut buffer = vec![0; 256 * 1024];
            let n = file.read(&mut buffer).await?;
            buffer.truncate(n);
            bar.inc(n as u64);
            Ok::<_, std::io::Error>((n > 0).then_some((buffer, file)))
        }
    });
    Ok(reqwest::Body::wrap_stream(stream))
}
