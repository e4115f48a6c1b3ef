//! Images and their files, for people; what the life cycle needs of them is in `world`.

use super::DbError;
use crate::model::image::{Image, ImageFile, ImagePurpose, ImageUse, NewImage};
use rackwright_common::snapshot::BlobRef;
use sqlx::PgConnection;
use sqlx::types::Json;

struct Row {
    id: i64,
    name: String,
    version: i32,
    kind: String,
    title: String,
    architecture: String,
    manifest: serde_json::Value,
    created_at: time::OffsetDateTime,
    files: Json<Vec<ImageFile>>,
    on_racks: Vec<String>,
}

impl TryFrom<Row> for Image {
    type Error = DbError;

    fn try_from(r: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: r.id,
            name: r.name,
            version: r.version,
            kind: ImagePurpose::parse(&r.kind).ok_or(DbError::Corrupt { what: "image kind" })?,
            title: r.title,
            architecture: r.architecture,
            manifest: r.manifest,
            files: r.files.0,
            created_at: r.created_at.into(),
            missing: Vec::new(),
            lacking_in: Vec::new(),
            on_racks: r.on_racks,
        })
    }
}

/// Images by name, newest version first. `name` and `version` narrow it down.
pub async fn list(
    conn: &mut PgConnection,
    name: Option<&str>,
    version: Option<i32>,
) -> Result<Vec<Image>, DbError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT i.id, i.name, i.version, i.kind, i.title, i.architecture, i.manifest, i.created_at,
                  coalesce((SELECT jsonb_agg(jsonb_build_object('name', f.name, 'sha256', f.sha256, 'size', f.size,
                                                     'uncompressed_size', f.uncompressed_size) ORDER BY f.name)
                            FROM image_file f WHERE f.image_id = i.id), '[]') AS "files!: Json<Vec<ImageFile>>",
                  ARRAY(SELECT r.name FROM rack r WHERE EXISTS (SELECT 1 FROM image_file f WHERE f.image_id = i.id)
                        AND NOT EXISTS (SELECT 1 FROM image_file f WHERE f.image_id = i.id
                                        AND NOT f.sha256 = ANY(coalesce(r.blobs, '{}')))
                        ORDER BY r.name) AS "on_racks!"
           FROM image i WHERE ($1::text IS NULL OR i.name = $1) AND ($2::int IS NULL OR i.version = $2)
           ORDER BY i.name, i.version DESC"#,
        name,
        version
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Image::try_from).collect()
}

/// One at a time until the transaction ends: registrations, which would draw the same version, and sweeps of a
/// region's store, which would remove a file that is being named.
pub async fn lock_files(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('image files')) IS NULL AS done")
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// Every file that an image names, once: hash and bytes.
pub async fn named(conn: &mut PgConnection) -> Result<Vec<BlobRef>, DbError> {
    let rows =
        sqlx::query!("SELECT DISTINCT sha256, size FROM image_file ORDER BY sha256").fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|r| BlobRef { sha256: r.sha256, size: u64::try_from(r.size).unwrap_or(0) })
        .collect())
}

/// The images of a database, as `name@version`.
pub async fn references(url: &str) -> Result<Vec<String>, DbError> {
    let mut conn = super::connector::connect(url).await?;
    let found = sqlx::query_scalar!(
        r#"SELECT name || '@' || version AS "reference!" FROM image ORDER BY name, version"#
    );
    Ok(found.fetch_all(&mut conn).await?)
}

/// Those of the hashes that no image names.
pub async fn unnamed(conn: &mut PgConnection, hashes: &[String]) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT h AS "sha256!" FROM unnest($1::text[]) AS h
           WHERE NOT EXISTS (SELECT 1 FROM image_file WHERE sha256 = h)"#,
        hashes
    )
    .fetch_all(conn)
    .await?)
}

/// Registers the next version of an image, under [`lock_files`].
pub async fn insert(conn: &mut PgConnection, new: &NewImage) -> Result<(i64, i32), DbError> {
    let row = sqlx::query!(
        "INSERT INTO image (name, version, kind, title, architecture, manifest)
         VALUES ($1, 1 + coalesce((SELECT max(version) FROM image WHERE name = $1), 0), $2, $3, $4, $5)
         RETURNING id, version",
        new.name,
        new.kind.as_str(),
        new.title,
        new.architecture,
        serde_json::Value::Object(new.manifest.clone())
    )
    .fetch_one(&mut *conn)
    .await?;
    for file in &new.files {
        sqlx::query!(
            "INSERT INTO image_file (image_id, name, sha256, size, uncompressed_size) VALUES ($1, $2, $3, $4, $5)",
            row.id,
            file.name,
            file.sha256,
            file.size,
            file.uncompressed_size
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok((row.id, row.version))
}

/// Images that name this content, as `name@version`, with the file's name there.
pub async fn naming(conn: &mut PgConnection, sha256: &str) -> Result<Vec<(String, String)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT i.name || '@' || i.version AS "image!", f.name AS file
           FROM image_file f JOIN image i ON i.id = f.image_id WHERE f.sha256 = $1 ORDER BY i.name, i.version"#,
        sha256
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.image, row.file)).collect())
}

/// Host names of machines that are being installed with this image.
pub async fn installing(conn: &mut PgConnection, id: i64) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT hostname FROM machine WHERE image_id = $1 AND status = 'deploying' ORDER BY hostname",
        id
    )
    .fetch_all(conn)
    .await?)
}

/// Machines that have this image, by name, in some pools when given, at most `limit` of them; and how many have it.
pub async fn uses(
    conn: &mut PgConnection,
    id: i64,
    pools: Option<&[String]>,
    limit: i64,
) -> Result<(Vec<ImageUse>, i64), DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, hostname, status, count(*) OVER () AS "total!" FROM machine
           WHERE image_id = $1 AND ($3::text[] IS NULL OR pool = ANY($3))
           ORDER BY hostname COLLATE "C" LIMIT $2"#,
        id,
        limit,
        pools
    )
    .fetch_all(conn)
    .await?;
    let total = rows.first().map_or(0, |r| r.total);
    let mut uses = Vec::with_capacity(rows.len());
    for row in rows {
        uses.push(ImageUse {
            machine: row.id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?,
            hostname: row.hostname,
            status: row.status.parse().map_err(|_| DbError::Corrupt { what: "status" })?,
        });
    }
    Ok((uses, total))
}

/// Removes a version.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM image WHERE id = $1", id).execute(conn).await?;
    Ok(())
}
