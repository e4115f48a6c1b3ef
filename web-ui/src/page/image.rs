//! Images.

use super::{Shown, go, now};
use crate::error::{describe, log};
use crate::view::image::{ImagePage, ImagesPage, NewImagePage};
use crate::visitor::{Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_region::app::{self, App};
use rackwright_region::model::Role;

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<ImagesPage> {
    let images = app::image::list(&app, &visitor.actor).await?;
    Ok(ImagesPage::new(visitor.layout("Images"), &images.items, now()))
}

/// The form for a new one. What it does is the API's: upload its file, register it.
pub async fn fresh(visitor: Visitor) -> Shown<NewImagePage> {
    visitor.actor.require(Role::Administrator)?;
    Ok(NewImagePage { layout: visitor.layout("Images") })
}

/// One version.
pub async fn show(
    State(app): State<App>,
    Path(reference): Path<String>,
    visitor: Visitor,
) -> Shown<ImagePage> {
    page(&app, &visitor, &reference).await
}

async fn page(app: &App, visitor: &Visitor, reference: &str) -> Shown<ImagePage> {
    let image = app::image::get(app, &visitor.actor, reference).await?;
    let newest = app::image::get(app, &visitor.actor, &image.name).await?;
    let uses = app::image::uses(app, &visitor.actor, reference).await?;
    let current = newest.version == image.version;
    Ok(ImagePage::new(visitor.layout("Images"), &image, current, &uses, now()))
}

/// Removes a version.
pub async fn delete(
    State(app): State<App>,
    Path(reference): Path<String>,
    posted: Posted,
) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let Err(error) = app::image::delete(&app, &visitor.actor, &reference).await else {
        return Ok(go("/images"));
    };
    log(&error);
    let mut page = page(&app, &visitor, &reference).await?;
    match &mut page.delete_form {
        Some(form) => *form = form.clone().refused(&fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}
