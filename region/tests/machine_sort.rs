//! The list of machines in other orders than by name: pages follow one another without gap or repeat there too.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use serde_json::Value;
use support::Site;

/// Names over all pages of two.
async fn names(site: &Site, sort: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = site.get(&format!("/machines?limit=2&sort={sort}{cursor}")).await.expect(200);
        assert_eq!(page["total"], 5);
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|m| m["hostname"].as_str().unwrap().to_owned()));
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return names,
        }
    }
}

#[tokio::test]
async fn every_order_goes_over_all_pages() {
    let site = Site::new().await;
    // Memory with unlike numbers of digits; two with the same, which are ordered by name.
    for (i, (name, memory, status)) in [
        ("a", 1024, "ready"),
        ("b", 512, "broken"),
        ("c", 65_536, "new"),
        ("d", 1024, "ready"),
        ("e", 9, "ready"),
    ]
    .iter()
    .enumerate()
    {
        let id = site.machine(name, u8::try_from(i).unwrap()).await;
        sqlx::query("UPDATE machine SET memory_mib = $2, status = $3, status_since = now() - $4 * interval '1 hour' WHERE id = $1")
            .bind(id.as_str())
            .bind(i64::from(*memory))
            .bind(*status)
            .bind(i32::try_from(i).unwrap())
            .execute(&site.pool)
            .await
            .unwrap();
    }
    for (sort, expected) in [
        ("name", "abcde"),
        ("-name", "edcba"),
        ("memory", "ebadc"),
        ("-memory", "cadbe"),
        ("status", "bcade"),
        ("since", "edcba"),
        ("owner", "abcde"),
        ("cores", "abcde"),
        ("disks", "abcde"),
        ("power", "abcde"),
        ("pool", "abcde"),
        ("zone", "abcde"),
    ] {
        assert_eq!(names(&site, sort).await.concat(), expected, "{sort}");
    }
    let text = site.get("/machines?sort=colour").await.problem(422, "invalid");
    assert!(text.contains("machines can be sorted by name, status"), "{text}");
    site.get("/machines?sort=memory&cursor=bm9uc2Vuc2U").await.problem(422, "invalid");
}
