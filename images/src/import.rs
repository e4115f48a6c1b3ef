//! Images made elsewhere: found out by what they hold, not by what they are called, refused with the reason when they are
//! not what a machine can boot or a layout can be filled with, and turned into one of two forms: `disk.raw.zst` or
//! `root.tar.zst`. Everything is streamed; memory stays at a few megabytes whatever the image's size.
//!
//! A qcow2 image that names another file (a backing file, an external data file) is refused: it could read any file of
//! this box into the image.

mod convert;
mod detect;

pub use convert::{Imported, convert};
pub use detect::{Compression, Content, Detected, inspect};
