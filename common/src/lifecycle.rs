//! The life cycle of a machine: one pure function, `(status, event) → status or illegal`.
//!
//! Statuses carry MAAS's names. None is a dead end: every transient one has a deadline, a failure exit and a way
//! out of the failure; the tests walk the whole graph. Only the workers of the region apply events.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $label:literal;)*) => {
        /// Where a machine is in its life.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Status { $($(#[$doc])* $name,)* }

        impl Status {
            /// Every status, in the order of a machine's life.
            pub const ALL: &[Status] = &[$(Status::$name,)*];

            /// As stored and sent: kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $(Status::$name => $text,)* }
            }

            /// As people read it.
            pub fn label(self) -> &'static str {
                match self { $(Status::$name => $label,)* }
            }
        }

        impl std::str::FromStr for Status {
            type Err = UnknownStatus;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($text => Ok(Status::$name),)* other => Err(UnknownStatus(other.to_owned())) }
            }
        }
    };
}

statuses! {
    /// Seen for the first time; not yet commissioned.
    New = "new", "New";
    /// Its hardware is being read and set up.
    Commissioning = "commissioning", "Commissioning";
    /// Commissioning did not succeed.
    FailedCommissioning = "failed-commissioning", "Failed commissioning";
    /// Its tests are running.
    Testing = "testing", "Testing";
    /// A test failed; it is not deployed until retested or overridden.
    FailedTesting = "failed-testing", "Failed testing";
    /// Ready for whoever asks.
    Ready = "ready", "Ready";
    /// Somebody's, nothing installed.
    Allocated = "allocated", "Allocated";
    /// An operating system is being installed.
    Deploying = "deploying", "Deploying";
    /// The installation did not succeed.
    FailedDeployment = "failed-deployment", "Failed deployment";
    /// Runs the installed system.
    Deployed = "deployed", "Deployed";
    /// On its way back to Ready.
    Releasing = "releasing", "Releasing";
    /// Could not be released.
    FailedReleasing = "failed-releasing", "Failed releasing";
    /// Its disks are being erased.
    DiskErasing = "disk-erasing", "Disk erasing";
    /// The disks could not be erased.
    FailedDiskErasing = "failed-disk-erasing", "Failed disk erasing";
    /// Going into rescue mode.
    EnteringRescueMode = "entering-rescue-mode", "Entering rescue mode";
    /// Could not go into rescue mode.
    FailedEnteringRescueMode = "failed-entering-rescue-mode", "Failed to enter rescue mode";
    /// Runs the ephemeral system with SSH.
    RescueMode = "rescue-mode", "Rescue mode";
    /// Leaving rescue mode.
    ExitingRescueMode = "exiting-rescue-mode", "Exiting rescue mode";
    /// Could not leave rescue mode.
    FailedExitingRescueMode = "failed-exiting-rescue-mode", "Failed to exit rescue mode";
    /// A person says it must not be used.
    Broken = "broken", "Broken";
}

/// The text names no status.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a status")]
pub struct UnknownStatus(String);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Status {
    /// How long a machine may stay in a transient status; `None` for resting ones.
    pub fn deadline(self) -> Option<Duration> {
        let minutes = match self {
            Self::Commissioning => 60,
            Self::Testing => 24 * 60,
            Self::Deploying => 120,
            Self::Releasing => 30,
            Self::DiskErasing => 7 * 24 * 60,
            Self::EnteringRescueMode | Self::ExitingRescueMode => 60,
            Self::New
            | Self::FailedCommissioning
            | Self::FailedTesting
            | Self::Ready
            | Self::Allocated
            | Self::FailedDeployment
            | Self::Deployed
            | Self::FailedReleasing
            | Self::FailedDiskErasing
            | Self::FailedEnteringRescueMode
            | Self::RescueMode
            | Self::FailedExitingRescueMode
            | Self::Broken => return None,
        };
        Some(Duration::from_secs(minutes * 60))
    }

    /// Something is under way.
    pub fn is_transient(self) -> bool {
        self.deadline().is_some()
    }

    /// Something went wrong and a person (or a retry) is asked for.
    pub fn is_failed(self) -> bool {
        matches!(
            self,
            Self::FailedCommissioning
                | Self::FailedTesting
                | Self::FailedDeployment
                | Self::FailedReleasing
                | Self::FailedDiskErasing
                | Self::FailedEnteringRescueMode
                | Self::FailedExitingRescueMode
                | Self::Broken
        )
    }

    /// Holds somebody's installed system, which must survive a test or a rescue.
    pub fn keeps_system(self) -> bool {
        matches!(self, Self::Deployed)
    }
}

/// What happens to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody asked to commission it.
    StartCommission,
    /// Commissioning succeeded and no test follows.
    CommissionPassed,
    /// Commissioning failed.
    CommissionFailed,
    /// Tests begin: on request, or after commissioning.
    StartTest,
    /// Every test passed; the machine goes back to where it came from.
    TestPassed {
        /// The resting status before the test, or Ready after commissioning.
        back_to: Status,
    },
    /// A test failed.
    TestFailed,
    /// An administrator takes the machine in spite of its failed test.
    OverrideFailedTest {
        /// Ready, or Deployed if it runs a system.
        back_to: Status,
    },
    /// Somebody takes it.
    Allocate,
    /// Installation begins.
    StartDeploy,
    /// The installed system reported.
    DeployDone,
    /// The installation failed.
    DeployFailed,
    /// Release begins, without erasing.
    StartRelease,
    /// Release begins with erasing the disks.
    StartErase,
    /// The disks are erased; what is left of the release follows.
    EraseDone,
    /// The disks could not be erased.
    EraseFailed,
    /// Released.
    ReleaseDone,
    /// Could not be released.
    ReleaseFailed,
    /// Rescue mode was asked for.
    EnterRescue,
    /// It is in rescue mode.
    RescueEntered,
    /// It could not get there.
    RescueEnterFailed,
    /// The end of rescue mode was asked for.
    ExitRescue,
    /// It left rescue mode.
    RescueExited {
        /// The resting status before.
        back_to: Status,
    },
    /// It could not leave rescue mode.
    RescueExitFailed,
    /// A person says it is broken.
    MarkBroken,
    /// A person says it is mended.
    MarkFixed {
        /// Ready if it has been commissioned, New otherwise.
        back_to: Status,
    },
    /// A person ended what was under way.
    Abort {
        /// The resting status before.
        back_to: Status,
    },
}

/// The event does not fit the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a machine that is {status} cannot take {event:?}")]
pub struct Illegal {
    /// Where it is.
    pub status: Status,
    /// What was asked.
    pub event: Event,
}

/// The next status.
pub fn next(status: Status, event: Event) -> Result<Status, Illegal> {
    use Event as E;
    use Status as S;
    let illegal = Err(Illegal { status, event });
    let resting = |to: Status, ok: &[Status]| if ok.contains(&to) { Ok(to) } else { illegal };
    match (status, event) {
        (S::New | S::FailedCommissioning | S::Ready | S::FailedTesting | S::Broken, E::StartCommission) => {
            Ok(S::Commissioning)
        }
        (S::Commissioning, E::CommissionPassed) => Ok(S::Ready),
        (S::Commissioning, E::CommissionFailed) => Ok(S::FailedCommissioning),

        (
            S::Commissioning
            | S::Ready
            | S::Allocated
            | S::Deployed
            | S::FailedTesting
            | S::FailedDeployment
            | S::Broken,
            E::StartTest,
        ) => Ok(S::Testing),
        (S::Testing, E::TestPassed { back_to }) => {
            resting(back_to, &[S::Ready, S::Allocated, S::Deployed, S::FailedDeployment, S::Broken])
        }
        (S::Testing, E::TestFailed) => Ok(S::FailedTesting),
        (S::FailedTesting, E::OverrideFailedTest { back_to }) => {
            resting(back_to, &[S::Ready, S::Allocated, S::Deployed])
        }

        (S::Ready, E::Allocate) => Ok(S::Allocated),
        (S::Ready | S::Allocated | S::FailedDeployment, E::StartDeploy) => Ok(S::Deploying),
        (S::Deploying, E::DeployDone) => Ok(S::Deployed),
        (S::Deploying, E::DeployFailed) => Ok(S::FailedDeployment),

        (
            S::Allocated
            | S::Deployed
            | S::FailedDeployment
            | S::FailedReleasing
            | S::FailedDiskErasing
            | S::FailedTesting
            | S::Broken,
            E::StartRelease,
        ) => Ok(S::Releasing),
        (
            S::Allocated
            | S::Deployed
            | S::FailedDeployment
            | S::FailedReleasing
            | S::FailedDiskErasing
            | S::FailedTesting
            | S::Broken,
            E::StartErase,
        ) => Ok(S::DiskErasing),
        (S::DiskErasing, E::EraseDone) => Ok(S::Releasing),
        (S::DiskErasing, E::EraseFailed) => Ok(S::FailedDiskErasing),
        (S::Releasing, E::ReleaseDone) => Ok(S::Ready),
        (S::Releasing, E::ReleaseFailed) => Ok(S::FailedReleasing),

        (
            S::Ready
            | S::Allocated
            | S::Deployed
            | S::FailedDeployment
            | S::FailedTesting
            | S::Broken
            | S::FailedEnteringRescueMode
            | S::FailedExitingRescueMode,
            E::EnterRescue,
        ) => Ok(S::EnteringRescueMode),
        (S::EnteringRescueMode, E::RescueEntered) => Ok(S::RescueMode),
        (S::EnteringRescueMode, E::RescueEnterFailed) => Ok(S::FailedEnteringRescueMode),
        (S::RescueMode | S::FailedEnteringRescueMode | S::FailedExitingRescueMode, E::ExitRescue) => {
            Ok(S::ExitingRescueMode)
        }
        (S::ExitingRescueMode, E::RescueExited { back_to }) => resting(
            back_to,
            &[S::Ready, S::Allocated, S::Deployed, S::FailedDeployment, S::FailedTesting, S::Broken],
        ),
        (S::ExitingRescueMode, E::RescueExitFailed) => Ok(S::FailedExitingRescueMode),

        (from, E::MarkBroken) if !from.is_transient() && from != S::Broken => Ok(S::Broken),
        (S::Broken, E::MarkFixed { back_to }) => resting(back_to, &[S::New, S::Ready]),

        (S::Commissioning, E::Abort { back_to }) => {
            resting(back_to, &[S::New, S::FailedCommissioning, S::Ready, S::FailedTesting, S::Broken])
        }
        (S::Testing, E::Abort { back_to }) => resting(
            back_to,
            &[S::Ready, S::Allocated, S::Deployed, S::FailedTesting, S::FailedDeployment, S::Broken],
        ),
        (S::Deploying, E::Abort { .. }) => Ok(S::Allocated),
        (S::DiskErasing, E::Abort { .. }) => Ok(S::FailedDiskErasing),
        (S::EnteringRescueMode, E::Abort { .. }) => Ok(S::FailedEnteringRescueMode),
        (S::ExitingRescueMode, E::Abort { .. }) => Ok(S::FailedExitingRescueMode),

        _ => illegal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn events() -> Vec<Event> {
        let mut all = vec![
            Event::StartCommission,
            Event::CommissionPassed,
            Event::CommissionFailed,
            Event::StartTest,
            Event::TestFailed,
            Event::Allocate,
            Event::StartDeploy,
            Event::DeployDone,
            Event::DeployFailed,
            Event::StartRelease,
            Event::StartErase,
            Event::EraseDone,
            Event::EraseFailed,
            Event::ReleaseDone,
            Event::ReleaseFailed,
            Event::EnterRescue,
            Event::RescueEntered,
            Event::RescueEnterFailed,
            Event::ExitRescue,
            Event::RescueExitFailed,
            Event::MarkBroken,
        ];
        for &back_to in Status::ALL {
            all.extend([
                Event::TestPassed { back_to },
                Event::OverrideFailedTest { back_to },
                Event::RescueExited { back_to },
                Event::MarkFixed { back_to },
                Event::Abort { back_to },
            ]);
        }
        all
    }

    fn successors(status: Status) -> BTreeSet<Status> {
        events().into_iter().filter_map(|e| next(status, e).ok()).collect()
    }

    fn reachable(from: Status) -> BTreeSet<Status> {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
        while let Some(status) = todo.pop() {
            if seen.insert(status) {
                todo.extend(successors(status));
            }
        }
        seen
    }

    #[test]
    fn every_status_is_reached_from_new_and_leads_to_ready() {
        let from_new = reachable(Status::New);
        for &status in Status::ALL {
            assert!(from_new.contains(&status), "{status} is never reached");
            assert!(reachable(status).contains(&Status::Ready), "{status} is a dead end");
        }
    }

    #[test]
    fn every_transient_status_has_a_failure_exit_and_a_deadline() {
        for &status in Status::ALL.iter().filter(|s| s.is_transient()) {
            assert!(successors(status).iter().any(|s| s.is_failed()), "{status} cannot fail");
            assert!(status.deadline().is_some());
        }
    }

    #[test]
    fn no_way_leads_back_into_a_transient_status_by_naming_it() {
        for &status in Status::ALL {
            for &back_to in Status::ALL.iter().filter(|s| s.is_transient()) {
                for event in [
                    Event::TestPassed { back_to },
                    Event::RescueExited { back_to },
                    Event::MarkFixed { back_to },
                ] {
                    assert!(next(status, event).is_err(), "{status} {event:?}");
                }
            }
        }
    }

    #[test]
    fn a_failed_test_blocks_deployment() {
        assert!(next(Status::FailedTesting, Event::StartDeploy).is_err());
        let overridden =
            next(Status::FailedTesting, Event::OverrideFailedTest { back_to: Status::Ready }).unwrap();
        assert_eq!(next(overridden, Event::StartDeploy), Ok(Status::Deploying));
    }

    #[test]
    fn names_round_trip() {
        for &status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
    }
}
