//! What became of scripts: versions, last runs, how they did.

use super::{App, Error, Result};
use crate::auth::Actor;
use crate::db;
use crate::model::script_history::{ScriptHistory, ScriptResults};
use crate::model::{Page, Role};

/// Runs of one script that are told.
const RUNS: i64 = 50;
/// Runs of the site that are counted.
const COUNTED: i64 = 2000;

/// Versions of a script, and its last runs on machines that the caller sees.
pub async fn get(app: &App, actor: &Actor, name: &str) -> Result<ScriptHistory> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    let versions = db::script_history::versions(&mut conn, name).await?;
    if versions.is_empty() {
        return Err(Error::not_found("script", name));
    }
    let pools = actor.sight();
    Ok(ScriptHistory {
        versions,
        runs: db::script_history::runs(&mut conn, name, pools.as_deref(), RUNS).await?,
    })
}

/// How the scripts did in the site's last runs on machines that the caller sees, by name.
pub async fn results(app: &App, actor: &Actor) -> Result<Page<ScriptResults>> {
    actor.require(Role::Viewer)?;
    let pools = actor.sight();
    let mut conn = app.read().await?;
    Ok(Page::whole(db::script_history::results(&mut conn, pools.as_deref(), COUNTED).await?))
}
