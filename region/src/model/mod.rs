//! What users see: the types that the application layer returns, that the API sends and that the command line and
//! the web pages read. Rows of the database stay in `db`; secrets have no place here.

pub mod action;
pub mod audit;
pub mod bmc;
pub mod bulk;
pub mod console;
pub mod controller;
pub mod controller_token;
pub mod device;
pub mod dhcp_seen;
pub mod discovery;
pub mod dns_key;
pub mod domain;
pub mod event;
pub mod hardware_change;
pub mod image;
pub mod interface;
pub mod login_provider;
pub mod machine;
pub mod machine_sort;
pub mod network;
pub mod notification;
pub mod operation;
pub mod page;
pub mod problem;
pub mod rack_token;
pub mod region_token;
pub mod result_value;
pub mod role;
pub mod script;
pub mod script_history;
pub mod setting;
pub mod space;
pub mod static_route;
pub mod subnet;
pub mod switch;
pub mod terminal;
pub mod timestamp;
pub mod user;

pub use page::{Page, PageQuery};
pub use role::Role;
pub use timestamp::Timestamp;
