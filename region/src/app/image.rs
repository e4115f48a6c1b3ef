//! Images: register, list, remove. Their content comes to the store before, file by file.

use super::{App, Change, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::images::{StoreError, Stored};
use crate::model::image::{Image, ImageUse, NewImage, Upload};
use crate::model::page::MAX_LIMIT;
use crate::model::{Page, Role};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use rackwright_common::snapshot::BlobRef;

/// Images by name, newest version first.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Image>> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    let found = db::image::list(&mut conn, None, None).await?;
    let lacking = db::region::lacking(&mut conn).await?;
    drop(conn);
    let mut images = Vec::with_capacity(found.len());
    for image in found {
        images.push(looked_at(app, image, &lacking).await);
    }
    Ok(Page::whole(images))
}

/// The image with the names of those of its files that are not in the store, and of the regions that say the same.
async fn looked_at(app: &App, mut image: Image, lacking: &[(String, Vec<String>)]) -> Image {
    for file in &image.files {
        if app.store().find(&file.sha256).await.is_none() {
            image.missing.push(file.name.clone());
        }
    }
    let lacks = |hashes: &[String]| image.files.iter().any(|file| hashes.contains(&file.sha256));
    image.lacking_in =
        lacking.iter().filter(|(_, hashes)| lacks(hashes)).map(|(region, _)| region.clone()).collect();
    image
}

/// One image, as `name` (the newest version) or `name@version`.
pub async fn get(app: &App, actor: &Actor, reference: &str) -> Result<Image> {
    actor.require(Role::Viewer)?;
    let (name, version) = parse(reference)?;
    let mut conn = app.read().await?;
    let found = db::image::list(&mut conn, Some(name), version).await?;
    let image = found.into_iter().next().ok_or_else(|| Error::not_found("image", reference))?;
    let lacking = db::region::lacking(&mut conn).await?;
    drop(conn);
    let image = looked_at(app, image, &lacking).await;
    if let Some(exchange) = app.exchange.as_ref().filter(|_| !image.missing.is_empty()) {
        exchange.wake();
    }
    Ok(image)
}

fn parse(reference: &str) -> Result<(&str, Option<i32>)> {
    let Some((name, version)) = reference.split_once('@') else { return Ok((reference, None)) };
    let wrong = |_| Error::invalid("image", format!("`{reference}` is not `name` or `name@version`"));
    Ok((name, Some(version.parse().map_err(wrong)?)))
}

/// Registers the next version of an image. Every file must be in the store of this region or another, whole.
pub async fn create(app: &App, actor: &Actor, new: &NewImage) -> Result<Image> {
    actor.require(Role::Administrator)?;
    if new.files.is_empty() {
        return Err(Error::invalid("files", "an image has one file at least"));
    }
    fetch_absent(app, new).await?;
    let mut tx = app.begin().await?;
    db::image::lock_files(&mut tx).await?;
    for file in &new.files {
        let size = stored_size(app, &file.sha256).await?;
        match size {
            None => {
                return Err(Error::conflict(format!(
                    "the file `{}` ({}) has not been uploaded",
                    file.name, file.sha256
                )));
            }
            Some(size) if i64::try_from(size) != Ok(file.size) => {
                return Err(Error::invalid(
                    "files",
                    format!("`{}` is said to have {} bytes and has {size}", file.name, file.size),
                ));
            }
            Some(_) => {}
        }
    }
    let (_, version) = db::image::insert(&mut tx, new).await?;
    let change = Change {
        kind: "image.created",
        message: format!("{}@{version} was registered", new.name),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    let made = db::image::list(&mut tx, Some(&new.name), Some(version)).await?.pop();
    tx.commit().await?;
    made.ok_or_else(|| Error::not_found("image", &new.name))
}

/// Files that were uploaded through another region are fetched from there, before anything is locked.
async fn fetch_absent(app: &App, new: &NewImage) -> Result<()> {
    let Some(exchange) = &app.exchange else { return Ok(()) };
    for file in &new.files {
        check_hash(&file.sha256)?;
        let size = u64::try_from(file.size).map_err(|_| Error::invalid("files", "a size is negative"))?;
        if stored_size(app, &file.sha256).await?.is_none() {
            let blob = BlobRef { sha256: file.sha256.clone(), size };
            // Where it is nowhere, the answer to the request says so.
            if let Err(error) = exchange.fetch(&blob).await {
                tracing::info!(
                    sha256 = file.sha256,
                    error = &error as &dyn std::error::Error,
                    "no other region has what this image names"
                );
            }
        }
    }
    Ok(())
}

/// Machines that run a version of an image, or are being installed with it: at most a thousand, and how many there are.
pub async fn uses(app: &App, actor: &Actor, reference: &str) -> Result<Page<ImageUse>> {
    actor.require(Role::Viewer)?;
    let (name, version) = parse(reference)?;
    let mut conn = app.read().await?;
    let found = db::image::list(&mut conn, Some(name), version).await?.into_iter().next();
    let image = found.ok_or_else(|| Error::not_found("image", reference))?;
    let (items, total) = db::image::uses(&mut conn, image.id, MAX_LIMIT).await?;
    Ok(Page { items, total, next_cursor: None })
}

/// Removes one version. The store drops content that nothing names any more in its own time.
pub async fn delete(app: &App, actor: &Actor, reference: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    let (name, version) = parse(reference)?;
    let mut tx = app.begin().await?;
    let found = db::image::list(&mut tx, Some(name), version).await?.into_iter().next();
    let image = found.ok_or_else(|| Error::not_found("image", reference))?;
    if let Some(machine) = db::image::installing(&mut tx, image.id).await?.first() {
        return Err(Error::Busy(format!("{machine} is being installed with this image; wait for it")));
    }
    db::image::delete(&mut tx, image.id).await?;
    let message = format!("{name}@{} was removed", image.version);
    audit(&mut tx, actor, Change { kind: "image.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Bytes of a file in the store; `None` when it is not there, or damaged.
async fn stored_size(app: &App, sha256: &str) -> Result<Option<u64>> {
    let Stored::Sound(path) = app.store().find_sound(sha256).await? else { return Ok(None) };
    Ok(Some(tokio::fs::metadata(&path).await.map_err(Error::internal)?.len()))
}

/// How much of a file has arrived.
pub async fn upload_state(app: &App, actor: &Actor, sha256: &str) -> Result<Upload> {
    actor.require(Role::Administrator)?;
    check_hash(sha256)?;
    if let Some(size) = stored_size(app, sha256).await? {
        app.store().touch(sha256).await?;
        return Ok(Upload { sha256: sha256.to_owned(), received: size, complete: true });
    }
    let upload = app.store().upload(&upload_key(sha256)).await?;
    Ok(Upload { sha256: sha256.to_owned(), received: upload.written(), complete: false })
}

/// A part of a file on its way, or all of it.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Where it begins.
    pub start: u64,
    /// Bytes of the whole file, when the sender knows; the end of the body is the end of the file otherwise.
    pub total: Option<u64>,
}

/// Takes bytes of a file into the store. With the last one, the hash is checked and the file put in place. What
/// arrived before a broken connection stays, and the sender goes on from there.
pub async fn upload<S, E>(app: &App, actor: &Actor, sha256: &str, part: Part, mut body: S) -> Result<Upload>
where
    S: Stream<Item = std::result::Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    actor.require(Role::Administrator)?;
    check_hash(sha256)?;
    if let Some(size) = stored_size(app, sha256).await? {
        app.store().touch(sha256).await?;
        return Ok(Upload { sha256: sha256.to_owned(), received: size, complete: true });
    }
    let mut upload = app.store().upload(&upload_key(sha256)).await?;
    upload.seek(part.start).await?;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|e| {
            Error::invalid("body", format!("the transfer broke off at byte {}: {e}", upload.written()))
        })?;
        upload.append(&chunk).await?;
        if part.total.is_some_and(|total| upload.written() > total) {
            return Err(Error::invalid("Content-Range", "more bytes came than the whole file has"));
        }
    }
    let received = upload.written();
    if part.total.is_some_and(|total| received < total) {
        return Ok(Upload { sha256: sha256.to_owned(), received, complete: false });
    }
    let blob = upload.finish(Some(sha256)).await?;
    tracing::info!(sha256, size = blob.size, user = actor.name, "a file of an image was uploaded");
    Ok(Upload { sha256: blob.sha256, received: blob.size, complete: true })
}

fn upload_key(sha256: &str) -> String {
    format!("upload {sha256}")
}

fn check_hash(sha256: &str) -> Result<()> {
    let digits = sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if sha256.len() == 64 && digits {
        return Ok(());
    }
    Err(Error::invalid("sha256", "a hash is 64 lower-case hexadecimal digits"))
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::File { ref source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Self::conflict(
                    "the disk of the region's image store is full; make room there and upload again: it goes on where it stopped",
                )
            }
            StoreError::File { .. } => Self::internal(error),
            StoreError::Hash { .. } => Self::invalid("sha256", message),
            StoreError::Offset { .. } => Self::Conflict { field: Some("Content-Range"), message },
        }
    }
}
