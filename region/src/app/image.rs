//! Images: register, list, remove. Their content comes to the store before, file by file.

use super::{App, Change, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::model::image::{Image, NewImage};
use crate::model::{Page, Role};

/// Images by name, newest version first.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Image>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::image::list(&mut *app.read().await?, None, None).await?))
}

/// One image, as `name` (the newest version) or `name@version`.
pub async fn get(app: &App, actor: &Actor, reference: &str) -> Result<Image> {
    actor.require(Role::Viewer)?;
    let (name, version) = parse(reference)?;
    let found = db::image::list(&mut *app.read().await?, Some(name), version).await?;
    found.into_iter().next().ok_or_else(|| Error::not_found("image", reference))
}

fn parse(reference: &str) -> Result<(&str, Option<i32>)> {
    let Some((name, version)) = reference.split_once('@') else { return Ok((reference, None)) };
    let wrong = |_| Error::invalid("image", format!("`{reference}` is not `name` or `name@version`"));
    Ok((name, Some(version.parse().map_err(wrong)?)))
}

/// Registers the next version of an image. Every file must be in the store, whole.
pub async fn create(app: &App, actor: &Actor, new: &NewImage) -> Result<Image> {
    actor.require(Role::Administrator)?;
    if new.files.is_empty() {
        return Err(Error::invalid("files", "an image has one file at least"));
    }
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
    let mut tx = app.begin().await?;
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

async fn stored_size(_app: &App, _sha256: &str) -> Result<Option<u64>> {
    Ok(None)
}
