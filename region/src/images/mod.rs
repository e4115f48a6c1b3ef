//! Image files: a content-addressed store on every region.

pub mod exchange;
pub mod store;
pub mod sweep;

pub use store::{Store, StoreError, Stored};
