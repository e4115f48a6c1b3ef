//! The settings of the site.

use super::{App, Change, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::model::Role;
use crate::model::setting::Settings;
use crate::scripts::choice;
use rackwright_common::script::ScriptType;
use serde_json::{Map, Value};

/// All settings.
pub async fn get(app: &App, actor: &Actor) -> Result<Settings> {
    actor.require(Role::Viewer)?;
    Ok(db::setting::load(&mut *app.read().await?).await?)
}

/// Changes some settings, all or none.
pub async fn update(app: &App, actor: &Actor, changes: &Map<String, Value>) -> Result<Settings> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let before = db::setting::load(&mut tx).await?;
    let after = before.with(changes).map_err(|e| Error::invalid(e.name.clone(), e.message))?;
    if changes.contains_key("default_tests") {
        let unknown = choice::unknown(&mut tx, ScriptType::Testing, &after.default_tests).await?;
        if let Some(word) = unknown {
            return Err(Error::invalid(
                "default_tests",
                format!("there is no testing script or tag `{word}`"),
            ));
        }
    }
    if let Some(image) = after.default_image.as_ref().filter(|_| changes.contains_key("default_image"))
        && db::world::find_image(&mut tx, image).await?.is_none()
    {
        return Err(Error::invalid("default_image", format!("there is no image `{image}`")));
    }
    let (old, new) = (before.to_map(), after.to_map());
    for name in changes.keys() {
        let (Some(from), Some(to)) = (old.get(name), new.get(name)) else { continue };
        db::setting::put(&mut tx, name, to).await?;
        let change = Change {
            kind: "setting.changed",
            message: format!("The setting {name} was changed"),
            before: from.clone(),
            after: to.clone(),
            ..Change::default()
        };
        audit(&mut tx, actor, change).await?;
    }
    tx.commit().await?;
    Ok(after)
}
