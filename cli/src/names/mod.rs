//! The nouns of names: domains, records, published names.

mod dns_key;
mod domain;
mod name;
mod record;
mod secondary;

pub use dns_key::DnsKeyCommand;
pub use domain::DomainCommand;
pub use name::NameCommand;
pub use record::RecordCommand;
pub use secondary::SecondaryCommand;
