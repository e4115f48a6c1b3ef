//! Messages between region and rack: one stream in each direction, carried by `rackwright-link`.
//!
//! New variants are ignored by a side that does not know them (`Unknown`, and [`crate::newer`] for those inside), so that
//! versions may differ by one.

use crate::bmc::{BmcEndpoint, BmcError, BmcOrder, BmcOutcome};
use crate::discovery::Sighting;
use crate::id::{MachineId, OperationId};
use crate::lease::{LeaseNews, LeaseReport};
use crate::net::Mac;
use crate::newer;
use crate::ntp::TimeReport;
use crate::secret::{Secret, exposed};
use crate::snapshot::Snapshot;
use crate::switch::{SwitchError, SwitchOrder, SwitchReading};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use time::OffsetDateTime;
use uuid::Uuid;

/// Both sides send a message at least this often, seconds.
pub const HEARTBEAT_SECONDS: u64 = 1;
/// A stream that was silent for this long is dead, seconds.
pub const DEAD_AFTER_SECONDS: u64 = 3;
/// A rack's claim on a task holds for this long after the heartbeat that renewed it was sent, seconds.
pub const TASK_CLAIM_SECONDS: u64 = 10;

/// Bytes of one [`ToRack::ConsoleInput`] at most.
pub const CONSOLE_INPUT_BYTES: usize = 1024;

/// From a region to a rack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum ToRack {
    /// First message: who answers, and all regions to dial.
    Welcome {
        /// The region's name.
        region: String,
        /// `host:port` of every region's stream service.
        regions: Vec<String>,
    },
    /// Nothing new; I am alive.
    Heartbeat,
    /// The world has changed.
    Snapshot {
        /// All of it.
        snapshot: Box<Snapshot>,
        /// SHA-256 of the snapshot's JSON, hexadecimal; decides whether it arrived whole.
        sha256: String,
    },
    /// Do this and report.
    Task(Task),
    /// The answer to a relayed request.
    RelayReply(RelayReply),
    /// Every journal entry up to this one is stored.
    JournalAck {
        /// Its number.
        seq: u64,
    },
    /// These machines' consoles are to be recorded, and no others. Replaces the list before; told again from time to
    /// time. Racks keep it in memory only: it holds passwords.
    Consoles {
        /// Through which BMCs.
        consoles: Vec<BmcEndpoint>,
        /// Of those, the ones that a person looks at now: what they write goes up at once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        live: Vec<MachineId>,
    },
    /// A person has typed this. The rack that has the machine's console open passes it on; the others leave it. Every region sends it, so
    /// that one that dies takes nothing with it.
    ConsoleInput {
        /// Into whose console.
        machine: MachineId,
        /// Counts up for each machine; what is not above the last that was passed on has come before.
        seq: i64,
        /// Characters and control sequences, at most [`CONSOLE_INPUT_BYTES`]. People type passwords.
        #[serde(with = "exposed")]
        text: Secret<String>,
    },
    /// The answer to a report of leases. A rack of the version before knows no such answers and is sent none.
    Leases(Box<LeaseNews>),
    /// Ask on the wire whether somebody has these addresses, and tell in the journal ([`Fact::Probed`]). A rack of the
    /// version before does not answer.
    Probe {
        /// On whose behalf.
        operation: OperationId,
        /// Addresses in networks that the rack is on.
        addresses: Vec<Ipv4Addr>,
    },
    /// A heartbeat has renewed the claims on these tasks.
    Renewed {
        /// The heartbeat's number.
        beat: u64,
        /// Of those that it named, the tasks that still are this rack's.
        tasks: Vec<i64>,
    },
    /// From a newer version.
    #[serde(other)]
    Unknown,
}

/// From a rack to a region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum ToRegion {
    /// First message. The rack's name is in its certificate.
    Hello(RackHello),
    /// I am alive.
    Heartbeat {
        /// The generation it runs.
        generation: u64,
        /// Numbers of the tasks it is working on; their claims are renewed.
        tasks: Vec<i64>,
        /// Counts up from 1 on each stream; the hello is number 0.
        #[serde(default)]
        beat: u64,
    },
    /// A snapshot was taken or refused.
    SnapshotApplied {
        /// Which.
        generation: u64,
        /// Why it was refused.
        error: Option<String>,
    },
    /// A task ended.
    TaskResult(TaskResult),
    /// A task at a switch ended.
    SwitchResult(SwitchResult),
    /// A request from an agent or from cloud-init.
    Relay(Relay),
    /// What happened, in order.
    Journal {
        /// Oldest first.
        entries: Vec<JournalEntry>,
    },
    /// What machines wrote to their consoles. Not kept in the journal and not acknowledged: what is lost is seen by
    /// the offset of the next piece.
    Console {
        /// In order for each machine.
        chunks: Vec<ConsoleChunk>,
    },
    /// What was typed up to here has gone into the serial line.
    ConsoleTyped {
        /// Of whose console.
        machine: MachineId,
        /// The last [`ToRack::ConsoleInput`].
        seq: i64,
    },
    /// What the rack did with dynamic addresses, and how far it has caught up. A region of the version before does not
    /// answer it.
    Leases(LeaseReport),
    /// How the rack has the time: when that changes, and again from time to time. Replaces what it said before.
    Time(TimeReport),
    /// Which blobs the rack has whole: when that changes. Replaces what it said before.
    Held {
        /// SHA-256, lower-case hexadecimal, in order.
        blobs: Vec<String>,
    },
    /// From a newer version.
    #[serde(other)]
    Unknown,
}

/// What a rack says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RackHello {
    /// Software version.
    pub version: String,
    /// Generation of the snapshot it runs; 0 for none.
    pub generation: u64,
    /// Where machines reach its HTTP service, one per served interface.
    pub addresses: Vec<RackAddress>,
    /// Random per process start.
    pub instance: Uuid,
    /// Its clock: seconds since 1970, UTC. A rack of the version before does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<i64>,
}

/// An address of a rack on a machine network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RackAddress {
    /// Interface name.
    pub interface: String,
    /// Address with its prefix.
    pub network: ipnet::Ipv4Net,
    /// Port of the HTTP service.
    pub http_port: u16,
    /// Names are answered here.
    #[serde(default)]
    pub dns: bool,
}

/// Something only a rack can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The row in the region's database.
    pub id: i64,
    /// Raised by each claim; the result must carry it.
    pub claim: i64,
    /// The last heartbeat that the region had heard on this stream when it made the claim: the claim is at least as
    /// young as that. None from a region that does not count them.
    #[serde(default)]
    pub beat: Option<u64>,
    /// What.
    #[serde(deserialize_with = "newer::read")]
    pub work: TaskWork,
}

/// Kinds of task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum TaskWork {
    /// A command to a BMC.
    Bmc(BmcOrder),
    /// Something to be done at a switch. A rack of the version before answers it with [`TaskResult`].
    Switch(SwitchOrder),
    /// From a newer version.
    #[serde(other)]
    Unknown,
}

/// The end of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The row.
    pub id: i64,
    /// The claim under which it ran.
    pub claim: i64,
    /// How it ended.
    #[serde(deserialize_with = "newer::read")]
    pub outcome: Result<BmcOutcome, BmcError>,
}

/// The end of a task at a switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwitchResult {
    /// The row.
    pub id: i64,
    /// The claim under which it ran.
    pub claim: i64,
    /// How it ended: what the switch says now.
    #[serde(deserialize_with = "newer::read")]
    pub outcome: Result<SwitchReading, SwitchError>,
}

/// An HTTP request of a machine, passed on unread: `/agent/v1/…` and `/MAAS/metadata/…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Pairs request and reply on this stream.
    pub id: u64,
    /// `GET`, `POST`, `PUT`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body; text in all these protocols.
    pub body: String,
    /// Who asks.
    pub peer: IpAddr,
    /// Rack address the machine reached, `host:port`.
    pub local: String,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayReply {
    /// Of the request.
    pub id: u64,
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// A piece of what a machine wrote to its serial console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleChunk {
    /// Whose console.
    pub machine: MachineId,
    /// The recording: a new one begins whenever the rack has logged in to the BMC anew.
    pub session: Uuid,
    /// When that was, by the rack's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// Bytes of the recording before this piece, those that were lost included. The first piece, at 0, may repeat what
    /// an earlier recording has: some BMCs replay their memory.
    pub offset: u64,
    /// As it was written, escape sequences and all; what is not UTF-8 is replaced by U+FFFD.
    pub text: String,
}

/// One line of a rack's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Counts up; never reused by this rack.
    pub seq: u64,
    /// When it happened, by the rack's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What.
    #[serde(deserialize_with = "newer::read")]
    pub fact: Fact,
}

/// What a rack has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fact")]
pub enum Fact {
    /// A dynamic or fixed address was given. For people; who may have which address goes by [`LeaseReport`].
    Lease {
        /// To whom.
        mac: Mac,
        /// Which.
        address: Ipv4Addr,
        /// Until when.
        #[serde(with = "time::serde::rfc3339")]
        expires: OffsetDateTime,
        /// The client's own idea of its name.
        #[serde(default)]
        hostname: Option<String>,
    },
    /// A dynamic or fixed IPv6 address was given or extended; or is over, when `expires` is past. For people only.
    Lease6 {
        /// Which.
        address: Ipv6Addr,
        /// The client's identifier (RFC 8415 section 11), hexadecimal.
        duid: String,
        /// Its hardware address, where it is known.
        #[serde(default)]
        mac: Option<Mac>,
        /// Until when.
        #[serde(with = "time::serde::rfc3339")]
        expires: OffsetDateTime,
    },
    /// A lease was given back or declined.
    LeaseEnded {
        /// By whom.
        mac: Mac,
        /// Which.
        address: Ipv4Addr,
        /// The client says somebody else has the address.
        declined: bool,
    },
    /// A step of a network boot.
    Boot {
        /// Who.
        mac: Option<Mac>,
        /// Who.
        uuid: Option<Uuid>,
        /// Which step.
        stage: BootStage,
        /// File name, architecture, answer: one line for people.
        detail: String,
    },
    /// Something an operator should hear of.
    Warning {
        /// Stable name, such as `dhcp.pool-empty`.
        code: String,
        /// One sentence: what, where, what to do.
        message: String,
        /// The machine at fault, if any.
        #[serde(default)]
        mac: Option<Mac>,
    },
    /// It was asked on the wire who has these addresses.
    Probed {
        /// On whose behalf.
        operation: OperationId,
        /// All that were asked about.
        addresses: Vec<Ipv4Addr>,
        /// Those for which somebody answered, and who.
        answered: Vec<(Ipv4Addr, Mac)>,
    },
    /// A DHCP server that is not Rackwright's answered.
    DhcpServer {
        /// The subnet whose network it is on.
        subnet: i64,
        /// Its address.
        server: Ipv4Addr,
    },
    /// What would have been answered in shadow mode, beside what the present server did.
    Shadow(ShadowAnswer),
    /// Somebody was heard on a network of machines.
    Sighting(Sighting),
    /// A message of cloud-init in an installed system, kept until a region takes it.
    Report(Relay),
    /// From a newer version.
    #[serde(other)]
    Unknown,
}

/// A client in shadow mode: ours is what we would have answered, theirs what it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowAnswer {
    /// The subnet.
    pub subnet: i64,
    /// The client.
    pub mac: Mac,
    /// The address that we would have given.
    #[serde(default)]
    pub ours: Option<Ipv4Addr>,
    /// The boot file that we would have named.
    #[serde(default)]
    pub boot_file: Option<String>,
    /// The address that it got.
    #[serde(default)]
    pub theirs: Option<Ipv4Addr>,
    /// From which server.
    #[serde(default)]
    pub server: Option<Ipv4Addr>,
    /// The two differ in what matters.
    pub differs: bool,
    /// The same for people.
    pub message: String,
}

/// Steps of a network boot, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BootStage {
    /// DHCPDISCOVER from firmware or boot loader.
    Discover,
    /// Address acknowledged.
    Ack,
    /// Boot loader fetched (TFTP or HTTP).
    Loader,
    /// Boot script given; the detail says what was decided.
    Script,
    /// Kernel fetched.
    Kernel,
    /// Initial RAM file system fetched.
    Initrd,
    /// Something asked for was not there or not allowed.
    Refused,
}

impl BootStage {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Ack => "ack",
            Self::Loader => "loader",
            Self::Script => "script",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Refused => "refused",
        }
    }
}
