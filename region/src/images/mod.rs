//! Image files: a content-addressed store on every region.

pub mod store;

pub use store::{Store, StoreError};
