//! The owner of an action on a machine dies, or stands still and wakes up late, at every boundary there is.
//!
//! Boundaries are not listed here, they are met: an owner in a region can end before every statement that it sends to the
//! database, one on a rack at every message it takes or passes on and at both ends of every command to a BMC. A run
//! without disturbance counts them, and each of them gets a run of its own in which another owner takes over. Each run ends
//! as it should, with the same story as the undisturbed one; a late owner changes nothing. What the tests are worth is shown
//! by the same runs with a guard taken away.
//!
//! Left out: the stream between region and rack (`rack/src/link/tests.rs` has that), and a rack that is stopped between
//! its look at the clock and the packet, which nothing on this side of a BMC can prevent.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod crossings;
mod database_relay;
mod late_racks;
mod late_regions;
mod lives;
mod racks;
mod story;
#[path = "../support/mod.rs"]
mod support;
