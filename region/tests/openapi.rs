//! The OpenAPI document in git is the one that the code makes.

use rackwright_region::api;

#[test]
fn the_document_in_git_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let made = format!("{}\n", api::openapi().to_pretty_json().unwrap());
    if std::env::var_os("RACKWRIGHT_BLESS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == made,
        "region/openapi.json is out of date; run `RACKWRIGHT_BLESS=1 cargo test -p rackwright-region --test openapi`"
    );
    assert!(made.contains("\"openapi\": \"3.1.0\""));
}
