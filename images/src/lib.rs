//! Builds what machines boot and install, from distribution packages: the [`ephemeral`] environment, the [`toolbox`] of
//! test programs, operating-system images ([`debian`]), the boot loaders of network boot ([`bootloaders`]); and takes in
//! images made elsewhere ([`import`]).
//!
//! Everything here is synchronous and calls the distribution's own programs; a caller in an async program runs it on a
//! blocking thread. Nothing is mounted and no loop device is used. No archive's address is built in: packages come from
//! the box's own apt sources or from a mirror that the caller names.

mod apt;
pub mod bootloaders;
mod bootstrap;
mod command;
pub mod cpio;
mod deb;
pub mod debian;
mod disk;
mod elf;
pub mod ephemeral;
mod error;
pub mod import;
mod kernel;
pub mod manifest;
mod modules;
mod pack;
mod progress;
pub mod sources;
pub mod toolbox;
mod tools;

pub use error::{Error, Result};
pub use kernel::Kernel;
pub use progress::{Progress, ProgressFn};
