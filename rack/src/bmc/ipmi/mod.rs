//! The IPMI driver: actions as sequences of commands over a session that is kept open for a while.

mod connection;
mod quirks;
mod records;
mod sol;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rackwright_common::bmc::{Bmc, BmcAction, BmcEndpoint, BmcError, BmcOutcome, BootDevice, PowerState};
use rackwright_ipmi::client::{Config, SessionError, SuiteChoice, Timing};
use rackwright_ipmi::command::boot::{BootFlags, Device, GetBootFlags, set_boot_steps};
use rackwright_ipmi::command::chassis::{ChassisControl, GetChassisStatus, Identify};
use rackwright_ipmi::command::device::ResetBmc;
use rackwright_ipmi::crypto::Suite;
use rackwright_ipmi::{Privilege, Secret};
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use connection::{CallError, Connection};
pub use sol::{SolError, SolSession};

use super::GiveWay;

/// Time for a console to give its session back, and how often that is looked for.
const GIVE_WAY_WITHIN: Duration = Duration::from_secs(5);
const GIVE_WAY_LOOK: Duration = Duration::from_millis(300);

/// How patient the driver is.
#[derive(Debug, Clone, Copy)]
pub struct IpmiTiming {
    /// Repetition and deadline of the session set-up.
    pub session: Timing,
    /// For one command.
    pub answer_within: Duration,
    /// How long an unused session is kept.
    pub keep: Duration,
    /// How long to wait for the chassis to report the state it was told to reach.
    pub settle: Duration,
}

impl Default for IpmiTiming {
    fn default() -> Self {
        Self {
            session: Timing::default(),
            answer_within: Duration::from_secs(10),
            keep: Duration::from_secs(20),
            settle: Duration::from_secs(12),
        }
    }
}

/// A session that is open but not in use.
struct Idle {
    connection: Connection,
    since: Instant,
    /// Login it was opened with; another one needs another session.
    login: BmcEndpoint,
    generation: u64,
}

#[derive(Default)]
struct Sessions {
    idle: HashMap<(String, u16), Idle>,
    generation: u64,
}

/// IPMI 2.0 over LAN.
#[derive(Default)]
pub struct IpmiDriver {
    timing: IpmiTiming,
    sessions: Arc<Mutex<Sessions>>,
    beside: Option<Arc<dyn GiveWay>>,
}

impl std::fmt::Debug for IpmiDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IpmiDriver").field("timing", &self.timing).finish_non_exhaustive()
    }
}

#[async_trait]
impl Bmc for IpmiDriver {
    async fn perform(&self, endpoint: &BmcEndpoint, action: BmcAction) -> Result<BmcOutcome, BmcError> {
        let mut connection = self.connect(endpoint).await?;
        let outcome = self.act(&mut connection, action).await;
        match &outcome {
            // The BMC forgets its sessions; there is nobody to say good-bye to.
            Ok(_) if action == BmcAction::ResetBmc => drop(connection),
            Ok(_) | Err(CallError::Completion(_)) => self.keep(endpoint, connection),
            Err(_) => drop(connection),
        }
        outcome.map_err(bmc_error)
    }
}

impl IpmiDriver {
    /// A driver with its own patience.
    pub fn new(timing: IpmiTiming) -> Self {
        Self { timing, sessions: Arc::default(), beside: None }
    }

    /// The same beside somebody who gives way when a BMC has too few sessions for both.
    #[must_use]
    pub fn beside(mut self, other: Arc<dyn GiveWay>) -> Self {
        self.beside = Some(other);
        self
    }

    /// An open session: the one kept from before if it still answers, or a new one.
    async fn connect(&self, endpoint: &BmcEndpoint) -> Result<Connection, BmcError> {
        if let Some(mut idle) = self.take_idle(endpoint)
            && (idle.since.elapsed() < Duration::from_secs(2) || idle.connection.is_alive().await)
        {
            return Ok(idle.connection);
        }
        let address = resolve(endpoint).await?;
        let login = login(endpoint, self.timing.session)?;
        let open = || Connection::open(address, login.clone(), self.timing.answer_within);
        let mut opened = open().await;
        if matches!(opened, Err(CallError::Session(SessionError::Full)))
            && self.beside.as_ref().is_some_and(|other| other.give_way(&endpoint.machine))
        {
            let deadline = Instant::now() + GIVE_WAY_WITHIN;
            while matches!(opened, Err(CallError::Session(SessionError::Full))) && Instant::now() < deadline {
                sleep(GIVE_WAY_LOOK).await;
                opened = open().await;
            }
        }
        opened.map_err(bmc_error)
    }

    fn take_idle(&self, endpoint: &BmcEndpoint) -> Option<Idle> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.idle.remove(&key(endpoint)).filter(|idle| {
            let login = &idle.login;
            login.username == endpoint.username
                && login.password == endpoint.password
                && login.settings == endpoint.settings
        })
    }

    /// Keeps the session for the next order, and closes it when none comes.
    fn keep(&self, endpoint: &BmcEndpoint, connection: Connection) {
        let generation = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.generation += 1;
            let generation = sessions.generation;
            let idle = Idle { connection, since: Instant::now(), login: endpoint.clone(), generation };
            sessions.idle.insert(key(endpoint), idle);
            generation
        };
        let (sessions, key, keep) = (self.sessions.clone(), key(endpoint), self.timing.keep);
        tokio::spawn(async move {
            sleep(keep).await;
            let unused = {
                let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
                let is_same = sessions.idle.get(&key).is_some_and(|idle| idle.generation == generation);
                if is_same { sessions.idle.remove(&key) } else { None }
            };
            if let Some(idle) = unused {
                idle.connection.close().await;
            }
        });
    }

    async fn act(&self, bmc: &mut Connection, action: BmcAction) -> Result<BmcOutcome, CallError> {
        let state = match action {
            BmcAction::Query => power(bmc).await?,
            BmcAction::On => self.reach(bmc, PowerState::On).await?,
            BmcAction::Off => self.reach(bmc, PowerState::Off).await?,
            BmcAction::Soft => soft(bmc).await?,
            BmcAction::Cycle => self.cycle(bmc).await?,
            BmcAction::Reset => reset(bmc).await?,
            BmcAction::SetBoot { device, persistent, efi } => {
                set_boot(bmc, boot_flags(device, persistent, efi)).await?;
                return Ok(BmcOutcome::Done);
            }
            BmcAction::ResetBmc => {
                bmc.run(&ResetBmc::Cold).await?;
                return Ok(BmcOutcome::Done);
            }
            BmcAction::Sensors => return Ok(BmcOutcome::Sensors { readings: records::sensors(bmc).await? }),
            BmcAction::EventLog => {
                return Ok(BmcOutcome::EventLog { entries: records::event_log(bmc).await? });
            }
            BmcAction::ClearEventLog => {
                records::clear_event_log(bmc).await?;
                return Ok(BmcOutcome::Done);
            }
            BmcAction::Fru => return Ok(BmcOutcome::Fru { fields: records::fru(bmc).await? }),
            BmcAction::Identify { seconds } => {
                bmc.run(&Identify::Seconds(seconds)).await?;
                return Ok(BmcOutcome::Done);
            }
        };
        Ok(BmcOutcome::Power { state })
    }

    /// Makes the chassis reach a state, and says which one it reports in the end.
    async fn reach(&self, bmc: &mut Connection, wanted: PowerState) -> Result<PowerState, CallError> {
        if power(bmc).await? == wanted {
            return Ok(wanted);
        }
        let control = if wanted == PowerState::On { ChassisControl::On } else { ChassisControl::Off };
        bmc.run(&control).await?;
        self.watch(bmc, wanted).await
    }

    /// Watches until the chassis reports `wanted` or time is up.
    async fn watch(&self, bmc: &mut Connection, wanted: PowerState) -> Result<PowerState, CallError> {
        let deadline = Instant::now() + self.timing.settle;
        let mut pause = Duration::from_millis(100);
        loop {
            let seen = power(bmc).await?;
            if seen == wanted || Instant::now() >= deadline {
                return Ok(seen);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Off, seen off, on: never the BMC's own cycle, whose middle nobody sees.
    async fn cycle(&self, bmc: &mut Connection) -> Result<PowerState, CallError> {
        let off = self.reach(bmc, PowerState::Off).await?;
        if off != PowerState::Off {
            return Err(CallError::NoEffect("it was told to switch off and still reports on"));
        }
        sleep(bmc.quirks().off_time).await;
        self.reach(bmc, PowerState::On).await
    }
}

async fn power(bmc: &mut Connection) -> Result<PowerState, CallError> {
    let status = bmc.run(&GetChassisStatus).await?;
    Ok(if status.power_on { PowerState::On } else { PowerState::Off })
}

async fn soft(bmc: &mut Connection) -> Result<PowerState, CallError> {
    if power(bmc).await? == PowerState::On {
        bmc.run(&ChassisControl::SoftOff).await?;
    }
    power(bmc).await
}

async fn reset(bmc: &mut Connection) -> Result<PowerState, CallError> {
    if power(bmc).await? != PowerState::On {
        return Err(CallError::NoEffect("the machine is off: switch it on instead"));
    }
    bmc.run(&ChassisControl::Reset).await?;
    power(bmc).await
}

fn boot_flags(device: BootDevice, persistent: bool, efi: bool) -> BootFlags {
    let device = match device {
        BootDevice::Network => Device::Pxe,
        BootDevice::Disk => Device::Disk,
        BootDevice::Setup => Device::BiosSetup,
    };
    BootFlags { persistent, ..BootFlags::once(device, efi) }
}

async fn set_boot(bmc: &mut Connection, wanted: BootFlags) -> Result<(), CallError> {
    let quirks = *bmc.quirks();
    for step in set_boot_steps(wanted, quirks.only_boot_flags) {
        match bmc.run(&step.command).await {
            Err(CallError::Completion(error)) if !step.required => {
                debug!(parameter = step.command.parameter, %error, "boot option not taken, not needed");
            }
            other => other?,
        }
    }
    if quirks.boot_flags_readable {
        match bmc.run(&GetBootFlags).await {
            Ok(seen) if seen == wanted => {}
            Ok(seen) => warn!(?wanted, ?seen, "the BMC keeps other boot flags than it was given"),
            Err(CallError::Completion(error)) => debug!(%error, "boot flags cannot be read back"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn key(endpoint: &BmcEndpoint) -> (String, u16) {
    (endpoint.address.clone(), endpoint.port.unwrap_or(rackwright_ipmi::wire::PORT))
}

async fn resolve(endpoint: &BmcEndpoint) -> Result<SocketAddr, BmcError> {
    let (host, port) = key(endpoint);
    let unknown = |reason: String| BmcError::Unreachable(format!("`{host}` has no address: {reason}"));
    let mut found = lookup_host((host.as_str(), port)).await.map_err(|error| unknown(error.to_string()))?;
    found.next().ok_or_else(|| unknown("the name is empty".into()))
}

fn login(endpoint: &BmcEndpoint, timing: Timing) -> Result<Config, BmcError> {
    let settings = &endpoint.settings;
    let suite = match settings.cipher_suite {
        None => SuiteChoice::Best,
        Some(number) => Suite::from_id(number).map(SuiteChoice::Only).ok_or_else(|| {
            BmcError::Unsupported(format!("cipher suite {number}: this driver speaks 3 and 17"))
        })?,
    };
    let kg = match settings.kg.expose().trim().trim_start_matches("0x") {
        "" => None,
        digits => Some(Secret::new(
            hex::decode(digits).map_err(|_| BmcError::Login("the K_g key is not hexadecimal".into()))?,
        )),
    };
    let privilege = if settings.operator { Privilege::Operator } else { Privilege::Administrator };
    let password = endpoint.password.expose().as_bytes();
    Ok(Config { kg, privilege, suite, timing, ..Config::new(endpoint.username.clone(), password) })
}

fn bmc_error(error: CallError) -> BmcError {
    match error {
        CallError::Io(error) => BmcError::Unreachable(error.to_string()),
        CallError::Session(error) => match error {
            SessionError::Timeout(_) => BmcError::Unreachable(error.to_string()),
            SessionError::Full | SessionError::Busy => BmcError::Refused(error.to_string()),
            SessionError::Status(_) | SessionError::Privilege(_) => BmcError::Protocol(error.to_string()),
            SessionError::TooLong(_)
            | SessionError::NoCommonSuite(_)
            | SessionError::Refused(_)
            | SessionError::WrongPassword
            | SessionError::WrongKey
            | SessionError::PrivilegeRefused(_) => BmcError::Login(error.to_string()),
        },
        CallError::Completion(error) => BmcError::Refused(error.to_string()),
        CallError::NoEffect(what) => BmcError::Refused(what.into()),
        CallError::Decode(error) => BmcError::Protocol(error.to_string()),
    }
}
