//! Migrations are embedded; a new file in the folder must rebuild this crate.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
