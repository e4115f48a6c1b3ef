//! Migrations only add: a region of the version before works on while, and after, a newer one has changed the schema. What
//! takes something away is marked, says from which migration on programs do without it, and so keeps older ones out.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_region::db::{self, DbError};
use std::path::PathBuf;
use support::Site;

/// What the version before cannot work with, in upper case, with the blanks as one.
const TAKES_AWAY: &[&str] = &["DROP ", "RENAME ", " TYPE ", "SET NOT NULL", "TRUNCATE "];
const MARK: &str = "-- contract:";

/// Migrations by number.
fn migrations() -> Vec<(i64, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "sql"));
    files.sort();
    let number = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap()[..4].parse().unwrap();
    files.iter().map(|file| (number(file), std::fs::read_to_string(file).unwrap())).collect()
}

/// What a migration takes away, if it is not marked as one that does.
fn takes_away(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let statements = code.join("\n");
    let mut found = Vec::new();
    for statement in statements.split(';') {
        let plain = statement.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
        let alters =
            plain.starts_with("ALTER ") || plain.starts_with("DROP ") || plain.starts_with("TRUNCATE ");
        if alters && let Some(word) = TAKES_AWAY.iter().find(|word| format!("{plain} ").contains(**word)) {
            found.push(format!("{}: {plain}", word.trim()));
        }
        let column =
            plain.starts_with("ALTER TABLE") && plain.contains("ADD COLUMN") && plain.contains("NOT NULL");
        if column && plain.matches("NOT NULL").count() > plain.matches("DEFAULT").count() {
            found.push(format!("NOT NULL without DEFAULT: {plain}"));
        }
    }
    if sql.contains(MARK) && sql.contains("UPDATE schema_rule SET needs =") { Vec::new() } else { found }
}

#[test]
fn migrations_only_add() {
    for (number, sql) in migrations() {
        assert_eq!(takes_away(&sql), Vec::<String>::new(), "migration {number}; see docs/upgrades.md");
    }
}

#[test]
fn what_takes_away_is_found_and_a_mark_lets_it_pass() {
    for sql in [
        "ALTER TABLE machine DROP COLUMN hostname;",
        "alter table machine\n  rename column a to b;",
        "ALTER TABLE machine ALTER COLUMN a TYPE BIGINT;",
        "ALTER TABLE machine ALTER COLUMN a SET NOT NULL;",
        "ALTER TABLE machine ADD COLUMN a TEXT NOT NULL;",
        "CREATE TABLE x (a TEXT);\nDROP TABLE machine;",
    ] {
        assert_eq!(takes_away(sql).len(), 1, "{sql}");
        let marked = format!("{MARK} 0.2 does without it\n{sql}\nUPDATE schema_rule SET needs = 13;");
        assert!(takes_away(&marked).is_empty(), "{marked}");
        assert_eq!(takes_away(&format!("{MARK} but nobody is kept out\n{sql}")).len(), 1);
    }
    for sql in [
        "ALTER TABLE machine ADD COLUMN a TEXT NOT NULL DEFAULT '';",
        "CREATE TABLE x (a TEXT NOT NULL, kind TEXT); -- DROP nothing",
        "CREATE INDEX a ON x (a);",
    ] {
        assert!(takes_away(sql).is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_used_as_long_as_it_has_what_this_version_needs() {
    let site = Site::new().await;
    let run = |sql: &'static str| sqlx::raw_sql(sql).execute(&site.pool);
    run("INSERT INTO _sqlx_migrations VALUES (9999, 'newer', now(), true, '\\x00', 1); ALTER TABLE machine ADD COLUMN newer TEXT")
        .await
        .unwrap();
    db::connect(site.database_url(), 1).await.unwrap().close().await;
    run("UPDATE schema_rule SET needs = 9999").await.unwrap();
    let refused = db::connect(site.database_url(), 1).await.unwrap_err();
    assert!(matches!(refused, DbError::TooNew { needs: 9999, .. }), "{refused:?}");
    assert!(refused.to_string().contains("a newer version of Rackwright"), "{refused}");
}
