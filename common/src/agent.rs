//! Messages between the agent inside a machine and a region. A rack relays them unread.
//!
//! HTTP on the rack, JSON, `Authorization: Bearer TOKEN` where the token is bound to machine and boot:
//!
//! | Request | Body | Answer |
//! |---|---|---|
//! | `POST /agent/v1/hello` | [`Hello`] | [`HelloReply`] |
//! | `POST /agent/v1/next` | [`Next`] | [`NextReply`] |
//! | `POST /agent/v1/items/{id}/progress` | [`Progress`] | 204 |
//! | `POST /agent/v1/items/{id}/result` | [`ItemResult`] | 204 |
//!
//! 401 or 410: the token is no longer good; the agent stops its work and reboots. Anything else that is not 2xx,
//! or no answer: it asks again, of the next rack, for ever. Every request may be repeated without harm.

use crate::id::{Fence, MachineId};
use crate::inventory::Inventory;
use crate::net::Mac;
use crate::network::NetworkPlan;
use crate::secret::{Secret, exposed};
use crate::snapshot::BlobRef;
use crate::storage::{EraseMode, StorageLayout};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The agent is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// New with each boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: Uuid,
    /// SMBIOS system UUID.
    pub uuid: Option<Uuid>,
    /// SMBIOS system serial number.
    pub serial: Option<String>,
    /// Interface that booted.
    pub boot_mac: Option<Mac>,
    /// All physical interfaces.
    pub macs: Vec<Mac>,
    /// Booted by UEFI.
    pub efi: bool,
    /// Milliseconds from the kernel's start to this message.
    pub uptime_ms: u64,
    /// Of the agent.
    pub version: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
}

/// Who the machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloReply {
    /// Its identifier.
    pub machine: MachineId,
    /// Use this token from now on (a machine that was unknown a moment ago).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// On whose behalf it was booted.
    #[serde(default)]
    pub fence: Option<Fence>,
}

/// Give me something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// This boot.
    pub boot_id: Uuid,
    /// Seconds the region may wait before it says "nothing".
    #[serde(default)]
    pub wait_seconds: u32,
    /// How many items the agent can have under way, those that it has already included; absent or 0: one.
    #[serde(default)]
    pub at_once: u32,
}

/// Work, or nothing yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextReply {
    /// The next item; the one already given, when its result has not arrived.
    pub item: Option<WorkItem>,
    /// Items that may run beside it, `at_once - 1` at most; those already given are named again. Scripts only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<WorkItem>,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkItem {
    /// Its number; progress and result name it.
    pub id: i64,
    /// Refuse it if a newer fence has been seen.
    pub fence: Fence,
    /// What to do.
    pub work: Work,
}

/// What an agent can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Work {
    /// Read the hardware; the result's `inventory` is set.
    Inventory,
    /// Give Rackwright its own user on the BMC, in band; the result's `bmc` is set where there is one.
    SetupBmc {
        /// Name of the user to make or take over.
        username: String,
        /// Its password.
        #[serde(with = "exposed")]
        password: Secret<String>,
    },
    /// Run a script.
    Script(ScriptWork),
    /// Write an operating system.
    Install(Box<InstallWork>),
    /// Erase the disks.
    Erase {
        /// How thoroughly.
        mode: EraseMode,
    },
    /// Serve SSH until told otherwise; the item ends as soon as SSH answers.
    Rescue {
        /// `authorized_keys` lines.
        authorized_keys: Vec<String>,
    },
    /// Restart; the boot decision says from what.
    Reboot,
    /// Switch off.
    PowerOff,
}

/// A script to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptWork {
    /// Name, for logs.
    pub name: String,
    /// The program, with its shebang line.
    pub body: String,
    /// Arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Environment besides the usual (`RESULT_PATH`, `OUTPUT_STDOUT_PATH`, …).
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Killed after this many seconds; 0 means no limit.
    pub timeout_seconds: u64,
    /// Runs inside the toolbox, which is fetched first.
    #[serde(default)]
    pub toolbox: Option<BlobRef>,
    /// The script may restart the machine; it is then given again and told so by `HAS_STARTED=True`.
    #[serde(default)]
    pub may_reboot: bool,
    /// It was given before this boot.
    #[serde(default)]
    pub has_started: bool,
    /// To how many boots it was given, this one included; 0 from regions that do not count.
    #[serde(default)]
    pub boots: u32,
    /// The disk or interface that this run is about. Kernel names change between boots, so the agent looks for it
    /// and tells the script its present name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ScriptTarget>,
    /// Values of its parameters, in the order of its header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ScriptParameter>,
}

/// A piece of hardware, named by what does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ScriptTarget {
    /// A disk: by its serial number, by its kernel name only where it has none.
    Disk {
        /// Kernel name when the hardware was read.
        name: String,
        /// Serial number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serial: Option<String>,
    },
    /// A network interface.
    Interface {
        /// Hardware address.
        mac: Mac,
    },
}

/// The value of one parameter. The script finds it as `RACKWRIGHT_PARAM_<NAME>` in its environment, and as an
/// argument where there is a format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptParameter {
    /// Name, as in the header.
    pub name: String,
    /// Value; of a [`Self::is_target`] one the agent puts the disk's path or the interface's name in its place.
    #[serde(with = "exposed")]
    pub value: Secret<String>,
    /// MAAS's `argument_format`: words with `{input}`, `{path}`, `{name}`, `{serial}`, `{model}`, `{mac_address}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// It stands for the run's disk or interface.
    #[serde(default)]
    pub is_target: bool,
}

/// An operating system to write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstallWork {
    /// The compressed image; zstd.
    pub image: BlobRef,
    /// Whole disk, or root file system.
    pub image_kind: ImageKind,
    /// Bytes after decompression.
    pub uncompressed_size: u64,
    /// Where to.
    pub layout: StorageLayout,
    /// Name of the installed system.
    pub hostname: String,
    /// Its network.
    pub network: NetworkPlan,
    /// How cloud-init in it reaches Rackwright.
    pub metadata: MetadataSeed,
    /// Appended to the installed system's kernel command line.
    #[serde(default)]
    pub kernel_arguments: String,
    /// Racks that serve the time to it.
    #[serde(default)]
    pub ntp_servers: Vec<std::net::IpAddr>,
}

/// What an image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ImageKind {
    /// A whole disk with partitions and boot loaders.
    Disk,
    /// A root file system, as a tar archive.
    Rootfs,
}

impl ImageKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Rootfs => "rootfs",
        }
    }
}

/// Settings of cloud-init's MAAS datasource and reporter in the installed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataSeed {
    /// `http://RACK:5248/MAAS/metadata/`.
    pub metadata_url: String,
    /// `http://RACK:5248/MAAS/metadata/status/MACHINE`.
    pub status_url: String,
    /// OAuth 1.0 PLAINTEXT credentials; the consumer secret is empty.
    #[serde(with = "exposed")]
    pub consumer_key: Secret<String>,
    /// Token key.
    #[serde(with = "exposed")]
    pub token_key: Secret<String>,
    /// Token secret.
    #[serde(with = "exposed")]
    pub token_secret: Secret<String>,
}

/// How far an item is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// This boot.
    pub boot_id: Uuid,
    /// Counts up within the boot; one not higher than the last seen is a repeat.
    pub seq: u64,
    /// 0 to 100, when it can be told.
    #[serde(default)]
    pub percent: Option<f32>,
    /// One line for people.
    #[serde(default)]
    pub message: Option<String>,
    /// Log text since the last progress (bounded by the agent to 64 KiB a message).
    #[serde(default)]
    pub log: String,
}

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemResult {
    /// This boot.
    pub boot_id: Uuid,
    /// It was done.
    pub ok: bool,
    /// Why not, in one sentence for people; empty when it was.
    #[serde(default)]
    pub error: String,
    /// Of [`Work::Inventory`].
    #[serde(default)]
    pub inventory: Option<Box<Inventory>>,
    /// Of [`Work::SetupBmc`].
    #[serde(default)]
    pub bmc: Option<BmcFound>,
    /// Of [`Work::Script`].
    #[serde(default)]
    pub script: Option<ScriptOutcome>,
    /// Milliseconds it took.
    #[serde(default)]
    pub duration_ms: u64,
}

/// A BMC that now has Rackwright's user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmcFound {
    /// Its address.
    pub address: String,
    /// The user that was set up.
    pub username: String,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptOutcome {
    /// Exit code; none when it was killed or did not start.
    pub exit_code: Option<i32>,
    /// Killed because it took too long.
    #[serde(default)]
    pub timed_out: bool,
    /// Standard output; the last MiB, after a line that says how much came before it.
    pub stdout: String,
    /// Standard error; as standard output.
    pub stderr: String,
    /// What it wrote to `RESULT_PATH`: YAML with `status` and `results`.
    #[serde(default)]
    pub result_yaml: String,
}
