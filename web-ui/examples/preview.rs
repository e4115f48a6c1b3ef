//! A site to look at while working on the pages: `cargo run -p rackwright-web-ui --example preview [ADDRESS]`, then log
//! in as `ann` with the password it prints. Nothing of it is real, and nothing stays.

#![expect(clippy::unwrap_used, reason = "a site for looking at, made of the tests' parts")]

#[path = "../tests/support/mod.rs"]
mod support;

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5280".into());
    let site = support::Site::start(&address).await;
    site.add_fleet().await;
    println!("{} — user ann, password {}", site.url, support::PASSWORD);
    let mut beat = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return,
            _ = beat.tick() => site.run("UPDATE region SET last_seen_at = now(); UPDATE rack SET last_seen_at = now() WHERE name <> 'rack-b1'").await,
        }
    }
}
