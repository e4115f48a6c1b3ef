//! Commissioning and test scripts: reading their header, choosing them, and those that come with Rackwright.

pub mod builtin;
pub mod choice;
pub mod metadata;
pub mod parameters;

pub use builtin::install_builtin;
