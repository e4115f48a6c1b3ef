//! The region controller: REST API, life cycle of the machines, and the racks' picture of the world.
//!
//! Regions are equal and hold nothing that is not in PostgreSQL or in the image store, so that any of them may
//! die at any moment. `api → app → db`, `lifecycle → racks, db`. Only `db` holds SQL; only `api` and `door` know HTTP.

pub mod api;
pub mod app;
pub mod auth;
pub mod config;
pub mod daemon;
pub mod db;
pub mod dns;
pub mod door;
pub mod images;
pub mod inband;
pub mod lifecycle;
pub mod model;
pub mod network;
pub mod notify;
pub mod ntp;
pub mod presence;
pub mod racks;
pub mod scripts;
pub mod secrets;
pub mod standing;
pub mod waiting;
