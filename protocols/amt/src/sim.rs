//! A small AMT device: HTTP with digest, the WS-Man requests of [`crate::message`], a chassis program behind it.
//!
//! For tests and the lab. Written from the SDK's documents and checked with clients nobody here wrote, but never compared with
//! real hardware. One thread for each connection, blocking, no TLS of its own (put `socat` or `stunnel` in front).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::digest::{Challenge, Login};
use crate::xml::{Element, escape};

const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/";
const AMT: &str = "http://intel.com/wbem/wscim/1/amt-schema/1/";
const REALM: &str = "Digest:A4070000000000000000000000000000";
const SERVER: &str = "Intel(R) Active Management Technology 11.8.50";
/// Largest request body and largest header, bytes.
const BODY_LIMIT: usize = 64 * 1024;
const HEADER_LIMIT: u64 = 16 * 1024;
const CONNECTIONS: usize = 32;

/// What the device is.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// The account.
    pub login: Login,
    /// The chassis program and its first arguments, called as rackwright-bmc-sim calls its own.
    pub program: Vec<String>,
}

struct Device {
    config: SimConfig,
    nonces: Mutex<Vec<String>>,
    counter: AtomicU64,
    /// What ChangeBootOrder chose; counts once SetBootConfigRole comes.
    chosen: Mutex<&'static str>,
    settings: Mutex<Vec<(String, String)>>,
    connections: AtomicUsize,
}

/// A device bound to its address.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    config: SimConfig,
}

impl Simulator {
    /// Binds the socket.
    pub fn bind(listen: SocketAddr, config: SimConfig) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(listen)?, config })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    pub fn run(self) {
        let defaults = [
            ("BIOSPause", "false"),
            ("BIOSSetup", "false"),
            ("BootMediaIndex", "0"),
            ("ElementName", "Intel(r) AMT Boot Configuration Settings"),
            ("IDERBootDevice", "0"),
            ("InstanceID", "Intel(r) AMT:BootSettingData 0"),
            ("OptionsCleared", "true"),
            ("ReflashBIOS", "false"),
            ("UseIDER", "false"),
            ("UseSOL", "false"),
        ];
        let device = Arc::new(Device {
            config: self.config,
            nonces: Mutex::default(),
            counter: AtomicU64::new(1),
            chosen: Mutex::new("none"),
            settings: Mutex::new(defaults.map(|(name, value)| (name.into(), value.into())).to_vec()),
            connections: AtomicUsize::new(0),
        });
        for stream in self.listener.incoming().flatten() {
            if device.connections.load(Ordering::Relaxed) >= CONNECTIONS {
                continue;
            }
            device.connections.fetch_add(1, Ordering::Relaxed);
            let device = device.clone();
            std::thread::spawn(move || {
                if let Err(error) = device.serve(&stream) {
                    eprintln!("rackwright-amt-sim: {error}");
                }
                device.connections.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

struct HttpRequest {
    method: String,
    path: String,
    authorization: String,
    close: bool,
    body: String,
}

/// One request; `None` at the end of the connection.
fn read_request(
    reader: &mut BufReader<&TcpStream>,
    mut writer: &TcpStream,
) -> io::Result<Option<HttpRequest>> {
    let mut head = reader.take(HEADER_LIMIT);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request =
        HttpRequest { method, path, authorization: String::new(), close: false, body: String::new() };
    let (mut length, mut expects) = (0, false);
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(usize::MAX),
            "authorization" => request.authorization = value.to_owned(),
            "connection" => request.close = value.eq_ignore_ascii_case("close"),
            "expect" => expects = true,
            _ => {}
        }
    }
    if length > BODY_LIMIT {
        return Err(io::Error::other("request too large"));
    }
    if expects {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

fn write_answer(mut stream: &TcpStream, status: &str, more: &str, body: &str) -> io::Result<()> {
    let text = format!(
        "HTTP/1.1 {status}\r\nServer: {SERVER}\r\nContent-Type: application/soap+xml; charset=UTF-8\r\n\
         Content-Length: {}\r\n{more}\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes())
}

impl Device {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader, stream)? {
            if !self.is_logged_in(&request) {
                let challenge = format!("WWW-Authenticate: {}\r\n", self.new_challenge().header());
                write_answer(stream, "401 Unauthorized", &challenge, "")?;
            } else if request.path != crate::PATH || request.method != "POST" {
                write_answer(stream, "404 Not Found", "", "")?;
            } else {
                match self.answer(&request.body) {
                    Ok(body) => write_answer(stream, "200 OK", "", &body)?,
                    Err(body) => write_answer(stream, "400 Bad Request", "", &body)?,
                }
            }
            if request.close {
                break;
            }
        }
        Ok(())
    }

    fn new_challenge(&self) -> Challenge {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .expect("the kernel's random generator does not fail once the system is up");
        let nonce = hex::encode(random);
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= 64 {
            nonces.remove(0);
        }
        nonces.push(nonce.clone());
        challenge(nonce)
    }

    fn is_logged_in(&self, request: &HttpRequest) -> bool {
        let nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.iter().any(|nonce| {
            self.config.login.is_proven_by(&request.authorization, &challenge(nonce.clone()), &request.method)
        })
    }

    /// The answer's text; `Err` is a fault.
    fn answer(&self, body: &str) -> Result<String, String> {
        let fault = |reason: &str| {
            let text = format!(
                "<a:Fault><a:Code><a:Value>a:Sender</a:Value></a:Code><a:Reason><a:Text xml:lang=\"en-US\">{}\
                 </a:Text></a:Reason></a:Fault>",
                escape(reason)
            );
            self.envelope("http://schemas.xmlsoap.org/ws/2004/08/addressing/fault", "", &text)
        };
        let root = Element::parse(body).ok_or_else(|| fault("not XML"))?;
        let inner = root.find("Body").ok_or_else(|| fault("no body"))?;
        if inner.find("Identify").is_some() {
            return Ok(self.envelope("", "", IDENTIFY_RESPONSE));
        }
        let action = root.text_of("Action").unwrap_or_default();
        let resource = root.text_of("ResourceURI").unwrap_or_default();
        let message = root.text_of("MessageID").unwrap_or_default();
        let answer = self.carry_out(action, resource, inner).map_err(|reason| fault(&reason))?;
        Ok(self.envelope(&format!("{action}Response"), message, &answer))
    }

    fn envelope(&self, action: &str, relates_to: &str, body: &str) -> String {
        let id = self.counter.fetch_add(1, Ordering::Relaxed);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope xmlns:a=\"http://www.w3.org/2003/05/soap-envelope\" \
             xmlns:b=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\"><a:Header><b:RelatesTo>{}</b:RelatesTo>\
             <b:Action a:mustUnderstand=\"true\">{}</b:Action><b:MessageID>uuid:00000000-8086-8086-8086-{id:012x}\
             </b:MessageID></a:Header><a:Body>{body}</a:Body></a:Envelope>",
            escape(relates_to),
            escape(action)
        )
    }

    fn carry_out(&self, action: &str, resource: &str, body: &Element) -> Result<String, String> {
        let verb = action.rsplit('/').next().unwrap_or_default();
        let class = resource.strip_prefix(CIM).or_else(|| resource.strip_prefix(AMT)).unwrap_or_default();
        match (verb, class) {
            ("Get", "CIM_AssociatedPowerManagementService") => {
                let state = if self.is_on()? { "2" } else { "8" };
                let fields = [("AvailableRequestedPowerStates", "2"), ("PowerState", state)];
                Ok(instance(resource, class, fields.into_iter()))
            }
            ("Get", "AMT_BootSettingData") => Ok(self.settings_instance(resource)),
            ("Put", "AMT_BootSettingData") => {
                let new = body.find("AMT_BootSettingData").ok_or("no AMT_BootSettingData")?;
                self.put_settings(new)?;
                Ok(self.settings_instance(resource))
            }
            ("ChangeBootOrder", "CIM_BootConfigSetting") => {
                *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = boot_device(body);
                Ok(output(resource, verb, 0))
            }
            ("SetBootConfigRole", "CIM_BootService") => {
                let chosen = *self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
                let device = if self.wants_setup() { "bios" } else { chosen };
                self.chassis(&["set", "boot", device])?;
                Ok(output(resource, verb, 0))
            }
            ("RequestPowerStateChange", "CIM_PowerManagementService") => {
                let wanted = body.text_of("PowerState").unwrap_or_default();
                Ok(output(resource, verb, self.change_power(wanted)?))
            }
            _ => Err(format!("the resource or action is not supported: {action}")),
        }
    }

    fn settings_instance(&self, resource: &str) -> String {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        instance(resource, "AMT_BootSettingData", fields)
    }

    fn put_settings(&self, new: &Element) -> Result<(), String> {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        for field in &new.children {
            if field.name == "OptionsCleared" {
                return Err("OptionsCleared is read-only".into());
            }
            if let Some((_, value)) = settings.iter_mut().find(|(name, _)| *name == field.name) {
                value.clone_from(&field.text);
            }
        }
        Ok(())
    }

    fn wants_setup(&self) -> bool {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.iter().any(|(name, value)| name == "BIOSSetup" && value == "true")
    }

    /// The method's return value.
    fn change_power(&self, wanted: &str) -> Result<u32, String> {
        let on = self.is_on()?;
        match wanted {
            "2" => self.chassis(&["set", "power", "1"])?,
            "8" | "6" => self.chassis(&["set", "power", "0"])?,
            "12" if on => self.chassis(&["set", "shutdown", "1"])?,
            "5" | "9" if on => {
                self.chassis(&["set", "power", "0"])?;
                self.chassis(&["set", "power", "1"])?;
            }
            "10" | "11" | "14" if on => self.chassis(&["set", "reset", "1"])?,
            "5" | "9" | "10" | "11" | "12" | "14" => return Ok(2),
            _ => return Ok(5),
        }
        Ok(0)
    }

    fn command(&self) -> Result<Command, String> {
        let [program, arguments @ ..] = self.config.program.as_slice() else {
            return Err("no chassis program".into());
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        Ok(command)
    }

    fn chassis(&self, operation: &[&str]) -> Result<(), String> {
        // Not captured: the machine it starts may keep the output open.
        let status = self.command()?.args(operation).stdout(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the chassis program failed: {status}")),
            Err(error) => Err(format!("the chassis program failed: {error}")),
        }
    }

    fn is_on(&self) -> Result<bool, String> {
        let output = self.command()?.args(["get", "power"]).output().map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().any(|line| line.trim() == "power:1"))
    }
}

const IDENTIFY_RESPONSE: &str = "<i:IdentifyResponse xmlns:i=\"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd\">\
     <i:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</i:ProtocolVersion>\
     <i:ProductVendor>Intel(r)</i:ProductVendor><i:ProductVersion>AMT 11.8.50</i:ProductVersion></i:IdentifyResponse>";

fn challenge(nonce: String) -> Challenge {
    Challenge { realm: REALM.to_owned(), nonce, opaque: None, qop_auth: true, stale: false }
}

/// The device a ChangeBootOrder body names.
fn boot_device(body: &Element) -> &'static str {
    let mut texts = Vec::new();
    collect(body, &mut texts);
    let named = |part: &str| texts.iter().any(|text| text.contains(part));
    if named("Force PXE") {
        "pxe"
    } else if named("Force Hard-drive") {
        "disk"
    } else if named("Force CD/DVD") {
        "cdrom"
    } else {
        "none"
    }
}

fn collect<'a>(element: &'a Element, texts: &mut Vec<&'a str>) {
    texts.push(&element.text);
    for child in &element.children {
        collect(child, texts);
    }
}

fn instance<'a>(resource: &str, class: &str, fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let inner: String =
        fields.map(|(name, value)| format!("<g:{name}>{}</g:{name}>", escape(value))).collect();
    format!("<g:{class} xmlns:g=\"{resource}\">{inner}</g:{class}>")
}

fn output(resource: &str, method: &str, value: u32) -> String {
    format!(
        "<g:{method}_OUTPUT xmlns:g=\"{resource}\"><g:ReturnValue>{value}</g:ReturnValue></g:{method}_OUTPUT>"
    )
}
