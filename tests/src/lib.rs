//! What the end-to-end tests and the benchmarks are made of; the programs in `bin/` are thin.

pub mod api_bench;
pub mod controllers;
pub mod dhcp_client;
pub mod enrolled_rack;
pub mod page_bench;
pub mod site;
