//! Who may command a machine: the newest owner this rack has heard of.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rackwright_common::bmc::BmcError;
use rackwright_common::id::{Fence, MachineId};

/// The highest fence seen for each machine.
#[derive(Debug, Default)]
pub struct Fences {
    seen: Mutex<HashMap<MachineId, Fence>>,
}

impl Fences {
    /// Lets an order pass unless a newer owner was seen. Orders without a fence pass; they only read.
    pub fn admit(&self, machine: &MachineId, fence: Option<Fence>) -> Result<(), BmcError> {
        let Some(fence) = fence else { return Ok(()) };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = seen.entry(machine.clone()).or_insert(fence);
        if fence < *highest {
            return Err(BmcError::StaleEpoch);
        }
        *highest = fence;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_common::id::OperationId;

    #[test]
    fn older_owners_are_refused_and_the_same_owner_may_go_on() {
        let (fences, machine) = (Fences::default(), MachineId::random());
        let fence = |operation, epoch| Some(Fence { operation: OperationId(operation), epoch });
        assert_eq!(fences.admit(&machine, fence(5, 2)), Ok(()));
        assert_eq!(fences.admit(&machine, fence(5, 2)), Ok(()));
        assert_eq!(fences.admit(&machine, fence(5, 1)), Err(BmcError::StaleEpoch));
        assert_eq!(fences.admit(&machine, fence(4, 9)), Err(BmcError::StaleEpoch));
        assert_eq!(fences.admit(&machine, None), Ok(()));
        assert_eq!(fences.admit(&MachineId::random(), fence(1, 1)), Ok(()));
        assert_eq!(fences.admit(&machine, fence(6, 1)), Ok(()));
    }
}
