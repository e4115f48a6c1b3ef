//! A site to look at while working on the pages: `cargo run -p rackwright-web-ui --example preview [ADDRESS]`, then log
//! in as `ann` with the password it prints. Nothing of it is real, and nothing stays.

#[path = "../tests/support/mod.rs"]
mod support;

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5280".into());
    let site = support::Site::start(&address).await;
    println!("{} — user ann, password {}", site.url, support::PASSWORD);
    tokio::signal::ctrl_c().await.unwrap();
}
