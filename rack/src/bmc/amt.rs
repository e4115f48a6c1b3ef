//! The Intel AMT driver: WS-Man over HTTP with digest, plain on port 16992 or over TLS on 16993.
//!
//! AMT chooses a boot device for the next start only and knows no UEFI flag: its firmware decides. It has no sensors, event
//! log or inventory that Rackwright reads.

mod tls;

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rackwright_amt::digest::{Attempt, Challenge, Login};
use rackwright_amt::message::{Answer, BootSettings, boot_steps};
use rackwright_amt::{AmtError, BootSource, Power, Request};
use rackwright_common::bmc::{Bmc, BmcAction, BmcEndpoint, BmcError, BmcOutcome, BootDevice, PowerState};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use tokio::time::{Instant, sleep};

/// For one request and its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// To reach the device at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);
/// How long to wait for the device to report the state it was told to reach.
const SETTLE: Duration = Duration::from_secs(15);
/// Least time between two looks at the state.
const LOOK: Duration = Duration::from_millis(250);

/// Intel AMT.
#[derive(Debug, Default)]
pub struct AmtDriver {
    messages: AtomicU64,
}

#[async_trait]
impl Bmc for AmtDriver {
    async fn perform(&self, endpoint: &BmcEndpoint, action: BmcAction) -> Result<BmcOutcome, BmcError> {
        let mut device = Device::new(endpoint, &self.messages)?;
        let state = match action {
            BmcAction::Query => device.power().await?,
            BmcAction::On => device.reach(PowerState::On).await?,
            BmcAction::Off => device.reach(PowerState::Off).await?,
            BmcAction::Soft => device.soft().await?,
            BmcAction::Cycle => {
                if device.reach(PowerState::Off).await? != PowerState::Off {
                    return Err(BmcError::Refused("it was told to switch off and still reports on".into()));
                }
                device.reach(PowerState::On).await?
            }
            BmcAction::Reset => device.reset().await?,
            BmcAction::SetBoot { persistent: true, .. } => {
                return Err(BmcError::Unsupported("AMT chooses the device of the next start only".into()));
            }
            BmcAction::SetBoot { device: from, persistent: false, efi: _ } => {
                device.set_boot(from).await?;
                return Ok(BmcOutcome::Done);
            }
            BmcAction::ResetBmc
            | BmcAction::Sensors
            | BmcAction::EventLog
            | BmcAction::ClearEventLog
            | BmcAction::Fru
            | BmcAction::Identify { .. } => {
                return Err(BmcError::Unsupported("AMT has no such thing".into()));
            }
        };
        Ok(BmcOutcome::Power { state })
    }
}

/// One device for the length of one order: connection, login, nonce.
struct Device<'a> {
    client: reqwest::Client,
    url: String,
    login: Login,
    challenge: Option<(Challenge, u32)>,
    messages: &'a AtomicU64,
}

impl<'a> Device<'a> {
    fn new(endpoint: &BmcEndpoint, messages: &'a AtomicU64) -> Result<Self, BmcError> {
        let tls = endpoint.settings.tls;
        let (scheme, usual) =
            if tls { ("https", rackwright_amt::TLS_PORT) } else { ("http", rackwright_amt::PORT) };
        let host = match endpoint.address.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => endpoint.address.clone(),
        };
        let url = format!("{scheme}://{host}:{}{}", endpoint.port.unwrap_or(usual), rackwright_amt::PATH);
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN);
        builder =
            builder.tls_backend_preconfigured(tls::config(endpoint.settings.certificate_sha256.as_deref())?);
        let client = builder.build().map_err(|error| BmcError::Protocol(reason(&error)))?;
        let login =
            Login { username: endpoint.username.clone(), password: endpoint.password.expose().clone() };
        Ok(Self { client, url, login, challenge: None, messages })
    }

    async fn power(&mut self) -> Result<PowerState, BmcError> {
        match self.ask(&Request::GetPower).await? {
            // Asleep counts as on: it draws power and wakes where it was.
            Answer::Power(2..=4) => Ok(PowerState::On),
            Answer::Power(6..=9 | 12 | 13) => Ok(PowerState::Off),
            _ => Ok(PowerState::Unknown),
        }
    }

    async fn reach(&mut self, wanted: PowerState) -> Result<PowerState, BmcError> {
        if self.power().await? == wanted {
            return Ok(wanted);
        }
        let power = if wanted == PowerState::On { Power::On } else { Power::Off };
        self.ask(&Request::SetPower(power)).await?;
        let deadline = Instant::now() + SETTLE;
        loop {
            let seen = self.power().await?;
            if seen == wanted || Instant::now() >= deadline {
                return Ok(seen);
            }
            sleep(LOOK).await;
        }
    }

    async fn soft(&mut self) -> Result<PowerState, BmcError> {
        if self.power().await? == PowerState::On {
            self.ask(&Request::SetPower(Power::SoftOff)).await?;
        }
        self.power().await
    }

    async fn reset(&mut self) -> Result<PowerState, BmcError> {
        if self.power().await? != PowerState::On {
            return Err(BmcError::Refused("the machine is off: switch it on instead".into()));
        }
        self.ask(&Request::SetPower(Power::Reset)).await?;
        self.power().await
    }

    async fn set_boot(&mut self, from: BootDevice) -> Result<(), BmcError> {
        let settings: BootSettings = match self.ask(&Request::GetBootSettings).await? {
            Answer::BootSettings(settings) => settings,
            _ => return Err(BmcError::Protocol("no boot settings".into())),
        };
        let source = match from {
            BootDevice::Network => BootSource::Pxe,
            BootDevice::Disk => BootSource::Disk,
            BootDevice::Setup => BootSource::Usual,
        };
        for step in boot_steps(settings, source, from == BootDevice::Setup) {
            self.ask(&step).await?;
        }
        Ok(())
    }

    /// Sends a request, logging in when asked to, and reads the answer.
    async fn ask(&mut self, request: &Request) -> Result<Answer, BmcError> {
        let text = request.encode(&self.url, self.messages.fetch_add(1, Ordering::Relaxed));
        // The first request meets a challenge; a stale nonce meets one more.
        for _ in 0..3 {
            let response = self.post(&text).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                self.take_challenge(&response)?;
                continue;
            }
            let status = response.status();
            let body = read_body(response).await?;
            return match request.read(&body) {
                Ok(answer) if status.is_success() => Ok(answer),
                Err(error @ (AmtError::Fault(_) | AmtError::Returned { .. })) => {
                    Err(BmcError::Refused(error.to_string()))
                }
                Ok(_) => Err(BmcError::Refused(status.to_string())),
                Err(error) => Err(BmcError::Protocol(format!("{error} ({status})"))),
            };
        }
        Err(BmcError::Login("the device asks for a login again and again".into()))
    }

    async fn post(&mut self, text: &str) -> Result<reqwest::Response, BmcError> {
        let mut request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, rackwright_amt::CONTENT_TYPE)
            .body(text.to_owned());
        if let Some((challenge, count)) = &mut self.challenge {
            *count += 1;
            let cnonce = format!("{:016x}", rand::random::<u64>());
            let attempt =
                Attempt { method: "POST", uri: rackwright_amt::PATH, cnonce: &cnonce, count: *count };
            request = request.header(AUTHORIZATION, self.login.authorize(challenge, &attempt));
        }
        request.send().await.map_err(|error| send_error(&error))
    }

    fn take_challenge(&mut self, response: &reqwest::Response) -> Result<(), BmcError> {
        let offered = response.headers().get_all(WWW_AUTHENTICATE);
        let challenge =
            offered
                .iter()
                .filter_map(|header| header.to_str().ok())
                .find_map(Challenge::parse)
                .ok_or_else(|| BmcError::Login("the device wants a login other than HTTP digest".into()))?;
        if self.challenge.is_some() && !challenge.stale {
            return Err(BmcError::Login("wrong user name or password".into()));
        }
        self.challenge = Some((challenge, 0));
        Ok(())
    }
}

/// The body, as far as an answer may be long.
async fn read_body(mut response: reqwest::Response) -> Result<String, BmcError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| BmcError::Unreachable(reason(&error)))? {
        body.extend_from_slice(&chunk);
        if body.len() > rackwright_amt::ANSWER_LIMIT {
            return Err(BmcError::Protocol("the answer is too long".into()));
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// A device that is not reached, or one that is not the device it should be.
fn send_error(error: &reqwest::Error) -> BmcError {
    if is_tls(error) { BmcError::Protocol(reason(error)) } else { BmcError::Unreachable(reason(error)) }
}

/// TLS lies under it. An `io::Error` does not name what it wraps as its source, so it is opened.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|inner| is_tls(inner))
        || error.source().is_some_and(is_tls)
}

/// An error with what lies under it: `reqwest` keeps the reason in its sources.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
