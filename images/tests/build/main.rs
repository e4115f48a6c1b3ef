//! What this crate builds, built and started: one program of tests, so that it is linked once. They need the box's apt
//! sources and QEMU; `RACKWRIGHT_IMAGE_CACHE` names a folder in which packages are kept between runs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bootloaders;
mod ephemeral;
mod guest;
mod import;
