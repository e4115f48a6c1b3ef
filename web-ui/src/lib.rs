//! The web pages of Rackwright: rendered on the region, live by server-sent events, without a build step.
//!
//! A page is a view struct (`view/`) with a template, made by a handler (`page/`) from what region's `app` tells; pages
//! ask `app` as the API does, and never the database. The browser gets HTML that works by itself; `static/app.js` only
//! fetches again what has changed. Nothing comes from elsewhere and nothing is inline, so the content security policy
//! is `default-src 'self'`. What is left out: building images (the command line does that).

pub mod assets;
pub mod command;
pub mod error;
pub mod escape;
pub mod filter;
pub mod format;
pub mod page;
pub mod view;
pub mod visitor;

pub use page::{router, site};
