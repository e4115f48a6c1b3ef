//! The life of a machine: what may be asked for, and the workers that carry it out.
//!
//! A request is written as an operation ([`request`]). Any region's worker claims it ([`engine`]), looks at the
//! world and decides what comes next ([`steps`]), and writes that decision with all its effects in one
//! transaction that fails as a whole when the claim was lost meanwhile ([`decision`]). Steps never talk to racks,
//! BMCs or agents: they write tasks and items, which those fetch. So nothing happens twice, and an owner that
//! dies at any moment leaves a row that the next one goes on with.

mod console_tail;
pub mod decision;
pub mod engine;
pub mod request;
pub mod restored;
pub mod steps;

pub use engine::Timing;
pub use request::{OperationRequest, StartError};
