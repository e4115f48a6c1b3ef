//! What this rack serves beside DHCP and boot files, so that others are told of it only while it does.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

/// Addresses at which names are not answered although they should be. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Served(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Names are meant to be answered.
    names: bool,
    /// … and are not at these.
    without_names: BTreeSet<Ipv4Addr>,
}

impl Served {
    /// Of a rack that answers names, or does not.
    pub fn new(names: bool) -> Self {
        Self(Arc::new(Mutex::new(State { names, without_names: BTreeSet::new() })))
    }

    /// Names are answered at this address, or cannot be.
    pub fn set_names(&self, address: Ipv4Addr, answered: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            state.without_names.remove(&address);
        } else {
            state.without_names.insert(address);
        }
    }

    /// Whether names are answered at this address.
    pub fn names(&self, address: Ipv4Addr) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.names && !state.without_names.contains(&address)
    }
}
