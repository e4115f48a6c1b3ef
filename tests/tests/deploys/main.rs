//! Deployments on machines with real firmware and BMCs that are disturbed on the way: one program, so that two machines
//! use two processors.
//!
//! Images come from `.lab/cache`, where `cargo xtask demo` builds them; `cargo xtask test --only e2e` runs that first.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod killed;
mod toolbox;
mod troubles;
mod wiped;
mod wired;
