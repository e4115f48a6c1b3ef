//! `/images`, and the files that become part of them.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::image::{self, Part};
use crate::app::{App, Error};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::image::{Image, ImageUse, NewImage, Upload};
use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::Deserialize;
use std::time::Duration;

/// Images by name, newest version first.
#[utoipa::path(get, path = "/images", tag = "images", responses((status = 200, body = Page<Image>), Refused))]
pub async fn list_images(State(app): State<App>, actor: Actor) -> Result<Json<Page<Image>>, Error> {
    image::list(&app, &actor).await.map(Json)
}

/// Registers the next version of an image. Its files have been uploaded.
#[utoipa::path(post, path = "/images", tag = "images", request_body = NewImage,
    responses((status = 201, body = Image), Refused))]
pub async fn create_image(
    State(app): State<App>,
    actor: Actor,
    ApiJson(new): ApiJson<NewImage>,
) -> Result<(StatusCode, Json<Image>), Error> {
    Ok((StatusCode::CREATED, Json(image::create(&app, &actor, &new).await?)))
}

/// One image, as `name` or `name@version`.
#[utoipa::path(get, path = "/images/{image}", tag = "images", params(("image" = String, Path)),
    responses((status = 200, body = Image), Refused))]
pub async fn show_image(
    State(app): State<App>,
    actor: Actor,
    ApiPath(reference): ApiPath<String>,
) -> Result<Json<Image>, Error> {
    image::get(&app, &actor, &reference).await.map(Json)
}

/// Removes one version of an image; the newest when none is named.
#[utoipa::path(delete, path = "/images/{image}", tag = "images", params(("image" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_image(
    State(app): State<App>,
    actor: Actor,
    ApiPath(reference): ApiPath<String>,
) -> Result<StatusCode, Error> {
    image::delete(&app, &actor, &reference).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which content.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Content {
    /// SHA-256 of the whole file, lower-case hexadecimal.
    pub sha256: String,
}

/// Machines that run this version, or are being installed with it.
#[utoipa::path(get, path = "/images/{image}/machines", tag = "images", params(("image" = String, Path)),
    responses((status = 200, body = Page<ImageUse>), Refused))]
pub async fn list_image_machines(
    State(app): State<App>,
    actor: Actor,
    ApiPath(reference): ApiPath<String>,
) -> Result<Json<Page<ImageUse>>, Error> {
    image::uses(&app, &actor, &reference).await.map(Json)
}

/// How much of a file has arrived, to go on from there.
#[utoipa::path(get, path = "/images/{image}/files/{file}", tag = "images",
    params(("image" = String, Path), ("file" = String, Path), Content),
    responses((status = 200, body = Upload), Refused))]
pub async fn show_upload(
    State(app): State<App>,
    actor: Actor,
    ApiPath((_image, _file)): ApiPath<(String, String)>,
    ApiQuery(content): ApiQuery<Content>,
) -> Result<Json<Upload>, Error> {
    image::upload_state(&app, &actor, &content.sha256).await.map(Json)
}

/// Uploads a file or, with `Content-Range`, a part of it. With the last byte its hash is checked.
#[utoipa::path(post, path = "/images/{image}/files/{file}", tag = "images",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("image" = String, Path), ("file" = String, Path), Content,
           ("Content-Range" = Option<String>, Header, description = "`bytes FIRST-LAST/TOTAL`")),
    responses((status = 200, body = Upload), Refused))]
pub async fn upload_file(
    State(app): State<App>,
    actor: Actor,
    ApiPath((_image, _file)): ApiPath<(String, String)>,
    ApiQuery(content): ApiQuery<Content>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Upload>, Error> {
    let part = content_range(&headers)?;
    let mut body = body.into_data_stream();
    let taken = image::upload(&app, &actor, &content.sha256, part, &mut body).await;
    if taken.is_err() {
        let_pass(body).await;
    }
    taken.map(Json)
}

/// Bytes and time that the rest of a refused body may take. Whoever is still sending when the connection is closed
/// does not hear why.
const LET_PASS: (usize, Duration) = (64 << 20, Duration::from_secs(10));

async fn let_pass(mut body: BodyDataStream) {
    let passing = async {
        let mut bytes = 0;
        while let Some(Ok(chunk)) = body.next().await {
            bytes += chunk.len();
            if bytes > LET_PASS.0 {
                return;
            }
        }
    };
    // When the time is over it is closed all the same.
    tokio::time::timeout(LET_PASS.1, passing).await.ok();
}

/// `Content-Range: bytes FIRST-LAST/TOTAL` (RFC 9110 §14.4); the whole file when absent.
fn content_range(headers: &HeaderMap) -> Result<Part, Error> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(Part { start: 0, total: None }) };
    let text = value.to_str().unwrap_or_default();
    let parsed = text.strip_prefix("bytes ").and_then(|rest| {
        let (range, total) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let total: u64 = total.parse().ok()?;
        (first <= last && last < total).then_some(Part { start: first, total: Some(total) })
    });
    parsed.ok_or_else(|| Error::invalid("Content-Range", format!("`{text}` is not `bytes FIRST-LAST/TOTAL`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_says_where_a_part_begins() {
        let with = |text: &str| HeaderMap::from_iter([(header::CONTENT_RANGE, text.parse().unwrap())]);
        let part = content_range(&with("bytes 100-199/1000")).unwrap();
        assert_eq!((part.start, part.total), (100, Some(1000)));
        assert_eq!(content_range(&HeaderMap::new()).unwrap().start, 0);
        for text in ["bytes 5-4/10", "bytes 0-10/10", "bytes */10", "0-1/2", "bytes 0-1/*"] {
            assert!(content_range(&with(text)).is_err(), "{text}");
        }
    }
}
