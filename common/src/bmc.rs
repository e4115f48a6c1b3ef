//! Baseboard management controllers as the rest of Rackwright sees them: one trait, whatever the protocol.

use crate::id::{Fence, MachineId};
use crate::secret::{Secret, exposed};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which driver speaks to a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DriverKind {
    /// IPMI 2.0 over LAN (RMCP+).
    Ipmi,
    /// Intel AMT (WS-Man).
    Amt,
    /// A person switches the machine; Rackwright asks and waits for evidence.
    Manual,
}

impl DriverKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipmi => "ipmi",
            Self::Amt => "amt",
            Self::Manual => "manual",
        }
    }
}

impl std::str::FromStr for DriverKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ipmi" => Ok(Self::Ipmi),
            "amt" => Ok(Self::Amt),
            "manual" => Ok(Self::Manual),
            other => Err(format!("`{other}` is not a power driver: ipmi, amt or manual")),
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything needed to reach one BMC. Travels only to the rack that uses it, is never stored there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmcEndpoint {
    /// The machine behind this BMC; racks fence per machine.
    pub machine: MachineId,
    /// The protocol.
    pub driver: DriverKind,
    /// Host name or IP address; empty for `manual`.
    pub address: String,
    /// UDP or TCP port; the protocol's own when absent (623, 16992).
    pub port: Option<u16>,
    /// User name.
    pub username: String,
    /// Password.
    #[serde(with = "exposed")]
    pub password: Secret<String>,
    /// What else the driver may be told.
    #[serde(default)]
    pub settings: BmcSettings,
}

/// Driver settings with safe defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BmcSettings {
    /// IPMI cipher suite, 3 or 17; both are tried, 17 first, when absent.
    pub cipher_suite: Option<u8>,
    /// IPMI K_g key, hexadecimal. Empty when the BMC has none.
    #[serde(with = "exposed", skip_serializing_if = "is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, write_only, default = ""))]
    pub kg: Secret<String>,
    /// Log in as an operator instead of an administrator (IPMI).
    pub operator: bool,
    /// Use TLS (AMT, port 16993).
    pub tls: bool,
    /// SHA-256 of the BMC's certificate, hexadecimal; any certificate is taken when absent.
    pub certificate_sha256: Option<String>,
}

fn is_empty(secret: &Secret<String>) -> bool {
    secret.expose().is_empty()
}

/// What a BMC says of the machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PowerState {
    /// Powered on.
    On,
    /// Powered off.
    Off,
    /// Nobody knows: no BMC, or it does not answer.
    Unknown,
}

impl PowerState {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unknown => "unknown",
        }
    }
}

/// What a machine boots from next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BootDevice {
    /// The network.
    Network,
    /// The first disk.
    Disk,
    /// The firmware's set-up.
    Setup,
}

/// A command to a BMC. Each names a state to reach, so that repeating it is harmless; `Cycle` and `Reset` are
/// used by people and by the escalation ladder, which look at evidence afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BmcAction {
    /// Read the power state.
    Query,
    /// Be on.
    On,
    /// Be off, at once.
    Off,
    /// Ask the operating system to shut down (ACPI).
    Soft,
    /// Off, then on.
    Cycle,
    /// Reset without cutting power.
    Reset,
    /// Choose the next boot device.
    SetBoot {
        /// From what.
        device: BootDevice,
        /// Until changed, rather than once.
        persistent: bool,
        /// UEFI rather than legacy boot.
        efi: bool,
    },
    /// Restart the BMC itself.
    ResetBmc,
    /// Read the sensors.
    Sensors,
    /// Read the system event log.
    EventLog,
    /// Forget the system event log.
    ClearEventLog,
    /// Read the inventory (FRU).
    Fru,
    /// Light the chassis for `seconds`.
    Identify {
        /// For how long; 0 ends it.
        seconds: u8,
    },
}

impl BmcAction {
    /// Changes nothing: neither the machine nor what the BMC stores.
    pub fn only_reads(self) -> bool {
        match self {
            Self::Query | Self::Sensors | Self::EventLog | Self::Fru => true,
            Self::On
            | Self::Off
            | Self::Soft
            | Self::Cycle
            | Self::Reset
            | Self::SetBoot { .. }
            | Self::ResetBmc
            | Self::ClearEventLog
            | Self::Identify { .. } => false,
        }
    }
}

/// What a BMC answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BmcOutcome {
    /// The power state after the command, as far as the BMC says.
    Power {
        /// The state.
        state: PowerState,
    },
    /// Accepted; there is no state to tell.
    Done,
    /// Sensor readings.
    Sensors {
        /// One per sensor.
        readings: Vec<SensorReading>,
    },
    /// System event log, oldest first.
    EventLog {
        /// One line per entry.
        entries: Vec<String>,
    },
    /// FRU fields.
    Fru {
        /// Field name and value.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<String>>))]
        fields: Vec<(String, String)>,
    },
}

/// One sensor's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SensorReading {
    /// The BMC's name for it.
    pub name: String,
    /// The value in `unit`; none when the sensor has no reading now.
    pub value: Option<f64>,
    /// `°C`, `V`, `RPM`, … or empty for a discrete sensor.
    pub unit: String,
}

/// Why a BMC did not do it. The text is for an operator: what happened and what to check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "error", content = "detail")]
pub enum BmcError {
    /// No answer.
    #[error("the BMC does not answer ({0}): check its address, cable and network")]
    Unreachable(String),
    /// Wrong user name, password or key.
    #[error("the BMC refuses the login ({0}): check user name, password and privilege")]
    Login(String),
    /// It understood and said no.
    #[error("the BMC refuses the command: {0}")]
    Refused(String),
    /// It answered something that makes no sense.
    #[error("the BMC's answer makes no sense: {0}")]
    Protocol(String),
    /// A newer owner has commanded this machine; this command is dropped.
    #[error("a newer operation commands this machine; this order is too old")]
    StaleEpoch,
    /// The driver cannot do this.
    #[error("this power driver cannot do that: {0}")]
    Unsupported(String),
    /// Only a person can.
    #[error("a person is needed: {0}")]
    NeedsHuman(String),
}

/// A driver for one protocol. Implementations are given the clock, the network and randomness; they never
/// panic on what a BMC sends.
#[async_trait]
pub trait Bmc: Send + Sync {
    /// Carries out one action. Called by one task at a time per endpoint.
    async fn perform(&self, endpoint: &BmcEndpoint, action: BmcAction) -> Result<BmcOutcome, BmcError>;
}

/// A command on its way to a BMC: what, for whom, and under which fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmcOrder {
    /// Where.
    pub endpoint: BmcEndpoint,
    /// Older fences than one already seen for this machine are refused; none for reads.
    pub fence: Option<Fence>,
    /// What.
    pub action: BmcAction,
}
