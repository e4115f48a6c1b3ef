//! Scripts: upload, list, remove.

use super::{App, Change, Describe, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::model::script::{NewScript, Script};
use crate::model::{Page, Role};
use crate::scripts::metadata;

/// The current version of every script.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Script>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::script::list(&mut *app.read().await?).await?))
}

/// One script with its body.
pub async fn get(app: &App, actor: &Actor, name: &str, version: Option<i32>) -> Result<Script> {
    actor.require(Role::Viewer)?;
    let found = db::script::find(&mut *app.read().await?, name, version).await?;
    found.ok_or_else(|| Error::not_found("script", name))
}

/// Stores a new version of a script. Built-in ones cannot be replaced under their name.
pub async fn create(app: &App, actor: &Actor, new: &NewScript) -> Result<Script> {
    actor.require(Role::Administrator)?;
    let parsed = metadata::parse(&new.body).map_err(|e| Error::invalid("body", e.to_string()))?;
    let mut metadata = parsed;
    match &new.name {
        Some(name) if metadata.name.is_empty() => metadata.name.clone_from(name),
        Some(name) if *name != metadata.name => {
            return Err(Error::invalid("name", format!("the header names it `{}`", metadata.name)));
        }
        Some(_) => {}
        None if metadata.name.is_empty() => {
            return Err(Error::invalid("name", "the header has no name; give one"));
        }
        None => {}
    }
    let mut tx = app.begin().await?;
    let existing = db::script::find(&mut tx, &metadata.name, None).await?;
    if existing.is_some_and(|script| script.builtin) {
        return Err(Error::Conflict {
            field: Some("name"),
            message: format!("`{}` comes with Rackwright; give yours another name", metadata.name),
        });
    }
    let version = db::script::insert(&mut tx, &metadata, &new.body, false).await?;
    let change = Change {
        kind: "script.created",
        message: format!("Version {version} of the script {} was stored", metadata.name),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    let stored = db::script::find(&mut tx, &metadata.name, Some(version)).await?;
    tx.commit().await?;
    stored.ok_or_else(|| Error::not_found("script", metadata.name))
}

/// Removes a script that has never run.
pub async fn delete(app: &App, actor: &Actor, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let found = db::script::find(&mut tx, name, None).await?;
    if found.ok_or_else(|| Error::not_found("script", name))?.builtin {
        return Err(Error::conflict(format!("`{name}` comes with Rackwright and stays")));
    }
    db::script::delete(&mut tx, name)
        .await
        .or_in_use("machines have results of this script; it stays as long as they do")?;
    let message = format!("The script {name} was removed");
    audit(&mut tx, actor, Change { kind: "script.deleted", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(())
}
