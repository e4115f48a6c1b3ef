//! The nouns of names: domains, records, published names.

mod domain;
mod name;
mod record;
mod secondary;

pub use domain::DomainCommand;
pub use name::NameCommand;
pub use record::RecordCommand;
pub use secondary::SecondaryCommand;
