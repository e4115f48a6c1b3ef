//! The steps of operations: one file each, one function that looks and decides.

mod addresses;
mod await_agent;
mod await_system;
mod commissioning_scripts;
mod erase;
mod finish_off;
mod install;
mod inventory;
mod items;
mod network_boot;
mod power;
mod power_command;
mod power_off;
mod rescue;
mod restore;
mod script_plan;
mod scripts;
mod tests_run;

pub use items::REBOOTS;
pub use script_plan::target_environment;

use super::decision::{Decision, Next};
use super::engine::Timing;
use super::request::OperationRequest;
use crate::db::DbError;
use crate::db::machine::Machine;
use crate::db::operation::Operation;
use rackwright_common::storage::EraseMode;
use sqlx::PgConnection;
use std::time::Duration;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $label:literal;)*) => {
        /// A step of an operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum StepName { $($(#[$doc])* $name,)* }

        impl StepName {
            /// Every step.
            pub const ALL: &[StepName] = &[$(StepName::$name,)*];

            /// As stored.
            pub fn as_str(self) -> &'static str {
                match self { $(StepName::$name => $text,)* }
            }

            /// As people read it.
            pub fn label(self) -> &'static str {
                match self { $(StepName::$name => $label,)* }
            }

            fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(StepName::$name),)* _ => None }
            }
        }
    };
}

steps! {
    /// The machine is off before it boots from the network.
    PowerOff = "power-off", "switching off";
    /// It is told to boot the ephemeral environment, and switched on.
    NetworkBoot = "network-boot", "switching on, to boot from the network";
    /// Its agent says hello.
    AwaitAgent = "await-agent", "waiting for the ephemeral environment";
    /// The agent reads the hardware and sets up the BMC.
    Inventory = "inventory", "reading the hardware";
    /// The agent runs the users' commissioning scripts.
    CommissioningScripts = "commissioning-scripts", "running commissioning scripts";
    /// The agent runs the tests.
    Tests = "tests", "testing";
    /// The agent writes the operating system.
    Install = "install", "installing";
    /// The installed system boots and reports.
    AwaitSystem = "await-system", "waiting for the installed system";
    /// The agent erases the disks.
    Erase = "erase", "erasing disks";
    /// The agent opens SSH.
    Rescue = "rescue", "opening rescue mode";
    /// The machine is off at the end.
    FinishOff = "finish-off", "switching off at the end";
    /// A machine that held a system runs it again.
    Restore = "restore", "starting the installed system again";
    /// A person's power command.
    PowerCommand = "power-command", "carrying out the power command";
}

/// The label of a stored step name.
pub fn label_of(step: &str) -> &str {
    match StepName::parse(step) {
        Some(known) => known.label(),
        None => step,
    }
}

/// The steps of a request, in order.
pub fn plan(request: &OperationRequest) -> &'static [StepName] {
    use StepName as S;
    match request {
        OperationRequest::Commission { .. } => {
            const STEPS: &[StepName] = &[
                S::PowerOff,
                S::NetworkBoot,
                S::AwaitAgent,
                S::Inventory,
                S::CommissioningScripts,
                S::Tests,
                S::FinishOff,
            ];
            STEPS
        }
        OperationRequest::Test { .. } => {
            &[S::PowerOff, S::NetworkBoot, S::AwaitAgent, S::Tests, S::FinishOff, S::Restore]
        }
        OperationRequest::Deploy { .. } => {
            &[S::PowerOff, S::NetworkBoot, S::AwaitAgent, S::Install, S::AwaitSystem]
        }
        OperationRequest::Release { erase: EraseMode::None } => &[S::FinishOff],
        OperationRequest::Release { erase: EraseMode::Quick | EraseMode::Full } => {
            &[S::PowerOff, S::NetworkBoot, S::AwaitAgent, S::Erase, S::FinishOff]
        }
        OperationRequest::EnterRescue { .. } => &[S::PowerOff, S::NetworkBoot, S::AwaitAgent, S::Rescue],
        OperationRequest::ExitRescue => &[S::FinishOff, S::Restore],
        OperationRequest::Power { .. } => &[S::PowerCommand],
    }
}

/// The first step of a request, as stored.
pub fn first_step(request: &OperationRequest) -> &'static str {
    plan(request)[0].as_str()
}

/// What every step looks at.
pub(super) struct Look<'a> {
    /// The operation.
    pub op: &'a Operation,
    /// What was asked.
    pub request: &'a OperationRequest,
    /// The machine.
    pub machine: &'a Machine,
    /// Patience.
    pub timing: &'a Timing,
}

impl Look<'_> {
    /// Seconds in this step, this attempt.
    fn seconds_in_step(&self) -> f64 {
        (self.op.now - self.op.step_since).as_seconds_f64()
    }

    /// The step after the present one, or the end with what belongs to it.
    fn onward(&self, present: StepName) -> Decision {
        let steps = plan(self.request);
        let after = steps.iter().position(|s| *s == present).and_then(|at| steps.get(at + 1));
        match after {
            Some(step) => Next::Go(*step).into(),
            None => restore::ending(self),
        }
    }

    /// A number remembered in the operation's state.
    fn remembered(&self, name: &str) -> Option<f64> {
        self.op.state.get(name).and_then(serde_json::Value::as_f64)
    }
}

/// Looks at the world and decides what comes next.
pub async fn decide(
    conn: &mut PgConnection,
    timing: &Timing,
    op: &Operation,
    machine: &Machine,
) -> Result<Decision, DbError> {
    let corrupt = |what| DbError::Corrupt { what };
    let request: OperationRequest =
        serde_json::from_value(op.params.clone()).map_err(|_| corrupt("request"))?;
    let look = Look { op, request: &request, machine, timing };
    let decision = dispatch(conn, &look).await?;
    restore::verdict(conn, &look, decision).await
}

async fn dispatch(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    match StepName::parse(&look.op.step).ok_or(DbError::Corrupt { what: "step" })? {
        StepName::PowerOff => power_off::step(conn, look).await,
        StepName::NetworkBoot => network_boot::step(conn, look).await,
        StepName::AwaitAgent => await_agent::step(conn, look).await,
        StepName::Inventory => inventory::step(conn, look).await,
        StepName::CommissioningScripts => commissioning_scripts::step(conn, look).await,
        StepName::Tests => tests_run::step(conn, look).await,
        StepName::Install => install::step(conn, look).await,
        StepName::AwaitSystem => await_system::step(conn, look).await,
        StepName::Erase => erase::step(conn, look).await,
        StepName::Rescue => rescue::step(conn, look).await,
        StepName::FinishOff => finish_off::step(conn, look).await,
        StepName::Restore => restore::step(conn, look).await,
        StepName::PowerCommand => power_command::step(conn, look).await,
    }
}

/// Wait a moment and try the step anew.
fn retry(reason: impl Into<String>, seconds: u64) -> Decision {
    Next::Retry { reason: reason.into(), again_in: Duration::from_secs(seconds) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_names_round_trip() {
        for &step in StepName::ALL {
            assert_eq!(StepName::parse(step.as_str()), Some(step));
        }
    }
}
