//! Runs of scripts from the API's request to the stored result: what they are told, what runs together, and what a
//! restart in their middle means. The machine is played by [`support::machine::World`].

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bench;
mod commissioning;
mod ends;
mod parallel;
mod parameters;
mod restarts;
#[path = "../support/mod.rs"]
mod support;
