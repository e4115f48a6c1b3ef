//! The BMC from inside, through the kernel's IPMI driver: what it is, where it listens, and a user of Rackwright's own.
//! Command numbers and fields are those of the IPMI 2.0 specification, sections 20 to 23.

use crate::error::{Error, Result, doing};
use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rackwright_common::Secret;
use rackwright_common::agent::BmcFound;
use rackwright_common::inventory::InBandBmc;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

const APP: u8 = 0x06;
const TRANSPORT: u8 = 0x0c;
const GET_DEVICE_ID: u8 = 0x01;
const SET_CHANNEL_ACCESS: u8 = 0x40;
const GET_CHANNEL_ACCESS: u8 = 0x41;
const GET_CHANNEL_INFO: u8 = 0x42;
const SET_USER_ACCESS: u8 = 0x43;
const GET_USER_ACCESS: u8 = 0x44;
const SET_USER_NAME: u8 = 0x45;
const GET_USER_NAME: u8 = 0x46;
const SET_USER_PASSWORD: u8 = 0x47;
const SET_PAYLOAD_ACCESS: u8 = 0x4c;
const GET_LAN_CONFIGURATION: u8 = 0x02;
const ADMINISTRATOR: u8 = 4;
const ANSWER_MS: u16 = 5000;

/// A way to a BMC: one command, one answer.
pub trait Ipmi {
    /// Sends a command; the answer begins with its completion code.
    fn ask(&mut self, netfn: u8, command: u8, data: &[u8]) -> Result<Vec<u8>>;

    /// Sends a command; a completion code other than 0 is an error, and 0 is taken off.
    fn command(&mut self, netfn: u8, command: u8, data: &[u8]) -> Result<Vec<u8>> {
        completed(command, &self.ask(netfn, command, data)?)
    }
}

/// The device node; none when there is no BMC, or the driver has not found it yet.
fn node(root: &Path) -> Option<PathBuf> {
    ["dev/ipmi0", "dev/ipmi/0", "dev/ipmidev/0"].iter().map(|path| root.join(path)).find(|path| path.exists())
}

/// Whether the kernel has found a BMC.
pub fn is_there(root: &Path) -> bool {
    node(root).is_some()
}

/// The kernel's driver.
pub struct Device {
    file: File,
    next_id: i64,
}

impl Device {
    /// Opens `/dev/ipmi0`; none when there is no BMC.
    pub fn open(root: &Path) -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open(node(root)?).ok()?;
        Some(Self { file, next_id: 1 })
    }
}

impl Ipmi for Device {
    fn ask(&mut self, netfn: u8, command: u8, data: &[u8]) -> Result<Vec<u8>> {
        let id = self.next_id;
        self.next_id += 1;
        sys::ipmi_send(&self.file, id, netfn, command, data).map_err(doing("send to the BMC"))?;
        loop {
            let mut ready = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            let count = poll(&mut ready, PollTimeout::from(ANSWER_MS))
                .map_err(|e| doing("wait for the BMC")(e.into()))?;
            if count == 0 {
                return Err(Error::refused("the BMC does not answer the kernel's driver"));
            }
            let (answered, answer) = sys::ipmi_receive(&self.file).map_err(doing("read the BMC's answer"))?;
            if answered == id {
                return Ok(answer);
            }
        }
    }
}

fn completed(command: u8, answer: &[u8]) -> Result<Vec<u8>> {
    match answer.split_first() {
        Some((0, data)) => Ok(data.to_vec()),
        Some((code, _)) => Err(Error::refused(format!(
            "the BMC refuses command {command:#04x} with completion code {code:#04x}"
        ))),
        None => Err(Error::refused("the BMC's answer is empty")),
    }
}

/// What the BMC says of itself; none when it does not even tell its device id.
pub fn describe(bmc: &mut impl Ipmi) -> Option<InBandBmc> {
    let id = bmc.command(APP, GET_DEVICE_ID, &[]).ok()?;
    let byte = |at: usize| id.get(at).copied().map(u32::from);
    let channel = lan_channel(bmc);
    let mut found = InBandBmc {
        manufacturer: byte(6).zip(byte(7)).zip(byte(8)).map(|((a, b), c)| a | b << 8 | (c & 0x0f) << 16),
        product: byte(9).zip(byte(10)).map(|(a, b)| a | b << 8),
        // The minor revision is two decimal digits, each in four bits.
        firmware: byte(2).zip(byte(3)).map(|(major, minor)| format!("{}.{minor:02x}", major & 0x7f)),
        ..InBandBmc::default()
    };
    if let Some(channel) = channel {
        found.address = lan_address(bmc, channel);
        let mac = lan_parameter(bmc, channel, 5).filter(|mac| mac.len() >= 6 && mac.iter().any(|b| *b != 0));
        found.mac = mac.map(|mac| mac[..6].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"));
    }
    Some(found)
}

/// The first channel whose medium is 802.3 LAN (§22.24).
fn lan_channel(bmc: &mut impl Ipmi) -> Option<u8> {
    (1..=11).find(|channel| {
        bmc.command(APP, GET_CHANNEL_INFO, &[*channel])
            .is_ok_and(|info| info.get(1).is_some_and(|m| m & 0x7f == 4))
    })
}

fn lan_parameter(bmc: &mut impl Ipmi, channel: u8, parameter: u8) -> Option<Vec<u8>> {
    let answer = bmc.command(TRANSPORT, GET_LAN_CONFIGURATION, &[channel, parameter, 0, 0]).ok()?;
    // The first byte is the parameter's revision.
    answer.get(1..).map(<[u8]>::to_vec)
}

fn lan_address(bmc: &mut impl Ipmi, channel: u8) -> Option<String> {
    match lan_parameter(bmc, channel, 3)?.as_slice() {
        [0, 0, 0, 0, ..] | [255, 255, 255, 255, ..] => None,
        [a, b, c, d, ..] => Some(format!("{a}.{b}.{c}.{d}")),
        _ => None,
    }
}

/// Makes or takes over the user, as administrator of the LAN channel. Gives back where the BMC listens; none when its
/// LAN channel has no address (yet).
pub fn set_up(bmc: &mut impl Ipmi, username: &str, password: &Secret<String>) -> Result<Option<BmcFound>> {
    if username.is_empty() || username.len() > 16 {
        return Err(Error::refused(format!("the BMC user name {username:?} has to have 1 to 16 bytes")));
    }
    if password.expose().len() > 20 {
        return Err(Error::refused("the BMC password is longer than the 20 bytes that IPMI takes"));
    }
    let channel = lan_channel(bmc).ok_or_else(|| Error::refused("the BMC has no LAN channel"))?;
    let user = find_slot(bmc, channel, username)?;
    let mut name = vec![user];
    name.extend(padded(username.as_bytes(), 16));
    // Some BMCs refuse the name that a user already has.
    if user_name(bmc, user).as_deref() != Some(username) {
        bmc.command(APP, SET_USER_NAME, &name)?;
    }
    set_password(bmc, user, password)?;
    // Change bits; IPMI messaging and link authentication on (§22.26).
    bmc.command(APP, SET_USER_ACCESS, &[0x80 | 0x30 | channel, user, ADMINISTRATOR, 0])?;
    bmc.command(APP, SET_USER_PASSWORD, &[user, 1])?;
    open_channel(bmc, channel);
    // Serial over LAN for this user; BMCs without it refuse.
    bmc.command(APP, SET_PAYLOAD_ACCESS, &[channel, user, 0x02, 0, 0, 0]).ok();
    Ok(lan_address(bmc, channel).map(|address| BmcFound { address, username: username.to_owned() }))
}

fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(length, 0);
    padded
}

fn user_name(bmc: &mut impl Ipmi, user: u8) -> Option<String> {
    let name = bmc.command(APP, GET_USER_NAME, &[user]).ok()?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Some(String::from_utf8_lossy(&name[..end]).into_owned())
}

/// The user's slot, or the first free one. Slot 1 is the anonymous user and often cannot be named.
fn find_slot(bmc: &mut impl Ipmi, channel: u8, username: &str) -> Result<u8> {
    let access = bmc.command(APP, GET_USER_ACCESS, &[channel, 1])?;
    let slots = access.first().map_or(0, |slots| slots & 0x3f);
    let mut free = None;
    for user in 2..=slots {
        // An empty slot answers with an empty name, or with an error.
        match user_name(bmc, user) {
            Some(name) if name == username => return Ok(user),
            Some(name) if !name.is_empty() => {}
            _ => free = free.or(Some(user)),
        }
    }
    free.ok_or_else(|| Error::refused(format!("all {slots} users of the BMC are taken: delete one")))
}

/// In the form of sixteen bytes where it fits, which every BMC takes and every kind of session can use; otherwise in
/// that of twenty, which some BMCs cut off without a word, so it is tested (§22.30).
fn set_password(bmc: &mut impl Ipmi, user: u8, password: &Secret<String>) -> Result<()> {
    let bytes = password.expose().as_bytes();
    let order =
        |user: u8, operation: u8, length: usize| [vec![user, operation], padded(bytes, length)].concat();
    if bytes.len() <= 16 && bmc.command(APP, SET_USER_PASSWORD, &order(user, 2, 16)).is_ok() {
        return Ok(());
    }
    bmc.command(APP, SET_USER_PASSWORD, &order(user | 0x80, 2, 20))?;
    // 0x80: another password; 0x81: one of another length. Everything else means that it cannot be tested.
    match bmc.ask(APP, SET_USER_PASSWORD, &order(user | 0x80, 3, 20))?.first() {
        Some(0x80 | 0x81) => Err(Error::refused("the BMC keeps only 16 bytes of its users' passwords")),
        _ => Ok(()),
    }
}

/// Makes the LAN channel always available with an administrator's limit, stored and in force (§22.22). The alerting and
/// authentication bits stay as they are. A BMC that refuses is most often open already.
fn open_channel(bmc: &mut impl Ipmi, channel: u8) {
    let current = bmc.command(APP, GET_CHANNEL_ACCESS, &[channel, 0x80]).ok();
    let kept = current.and_then(|access| access.first().copied()).unwrap_or(0x20) & 0x38;
    for store in [0x40, 0x80] {
        bmc.command(APP, SET_CHANNEL_ACCESS, &[channel, store | kept | 2, store | ADMINISTRATOR]).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BMC with users in slots 1 to 4, LAN on channel 8.
    #[derive(Default)]
    struct Fake {
        names: Vec<String>,
        passwords: Vec<Vec<u8>>,
        enabled: Vec<u8>,
        access: Vec<Vec<u8>>,
        cuts_off: bool,
        address: [u8; 4],
    }

    impl Ipmi for Fake {
        fn ask(&mut self, netfn: u8, command: u8, data: &[u8]) -> Result<Vec<u8>> {
            let answer = self.answer(netfn, command, data);
            Ok(answer.map_or_else(|code| vec![code], |data| [vec![0], data].concat()))
        }
    }

    impl Fake {
        fn answer(&mut self, netfn: u8, command: u8, data: &[u8]) -> std::result::Result<Vec<u8>, u8> {
            match (netfn, command, data) {
                (APP, GET_DEVICE_ID, _) => Ok(vec![0x20, 1, 3, 0x45, 2, 0x9f, 0x91, 0x12, 0, 2, 0x0f]),
                (APP, GET_CHANNEL_INFO, [8]) => Ok(vec![8, 4, 1, 0x80]),
                (APP, GET_CHANNEL_INFO, [1]) => Ok(vec![1, 1, 1, 0]),
                (APP, GET_USER_ACCESS, _) => Ok(vec![4, 1, 1, 0]),
                (APP, GET_USER_NAME, [user]) => match self.names.get(usize::from(*user)) {
                    Some(name) if !name.is_empty() => Ok(padded(name.as_bytes(), 16)),
                    _ => Err(0xcc),
                },
                (APP, SET_USER_NAME, [user, name @ ..]) => {
                    assert_eq!(name.len(), 16);
                    let end = name.iter().position(|b| *b == 0).unwrap();
                    self.names[usize::from(*user)] = String::from_utf8(name[..end].to_vec()).unwrap();
                    Ok(vec![])
                }
                (APP, SET_USER_PASSWORD, [user, 1]) => {
                    self.enabled.push(*user);
                    Ok(vec![])
                }
                (APP, SET_USER_PASSWORD, [_, 3, ..]) if self.cuts_off => Err(0x80),
                (APP, SET_USER_PASSWORD, [_, 3, ..]) => Ok(vec![]),
                (APP, SET_USER_PASSWORD, _) => {
                    self.passwords.push(data.to_vec());
                    Ok(vec![])
                }
                (APP, SET_USER_ACCESS | SET_CHANNEL_ACCESS, _) => {
                    self.access.push(data.to_vec());
                    Ok(vec![])
                }
                (TRANSPORT, GET_LAN_CONFIGURATION, [8, 3, ..]) => {
                    Ok([vec![0x11], self.address.to_vec()].concat())
                }
                (TRANSPORT, GET_LAN_CONFIGURATION, [8, 5, ..]) => Ok(vec![0x11, 2, 0, 0, 0, 0, 9]),
                _ => Err(0xcc),
            }
        }
    }

    fn fake(names: [&str; 5]) -> Fake {
        Fake { names: names.map(str::to_owned).to_vec(), address: [10, 0, 0, 5], ..Fake::default() }
    }

    #[test]
    fn a_bmc_describes_itself() {
        let found = describe(&mut fake(["", "", "", "", ""])).unwrap();
        assert_eq!(found.manufacturer, Some(0x1291));
        assert_eq!(found.product, Some(0x0f02));
        assert_eq!(found.firmware.as_deref(), Some("3.45"));
        assert_eq!(found.address.as_deref(), Some("10.0.0.5"));
        assert_eq!(found.mac.as_deref(), Some("02:00:00:00:00:09"));
    }

    #[test]
    fn a_new_user_takes_the_first_free_slot() {
        let mut bmc = fake(["", "", "root", "", ""]);
        let found = set_up(&mut bmc, "rackwright", &Secret::new("pass".into())).unwrap().unwrap();
        assert_eq!(found.address, "10.0.0.5");
        assert_eq!(bmc.names[3], "rackwright");
        assert_eq!(bmc.passwords, [[vec![3, 2], padded(b"pass", 16)].concat()]);
        assert_eq!(bmc.enabled, [3]);
        assert_eq!(bmc.access[0], [0xb8, 3, 4, 0]);
    }

    #[test]
    fn its_own_user_is_taken_over_with_a_long_password() {
        let mut bmc = fake(["", "", "root", "x", "rackwright"]);
        set_up(&mut bmc, "rackwright", &Secret::new("seventeen-letters".into())).unwrap();
        assert_eq!(bmc.passwords, [[vec![0x84, 2], padded(b"seventeen-letters", 20)].concat()]);
    }

    #[test]
    fn a_bmc_that_cuts_off_passwords_is_found_out() {
        let mut bmc = Fake { cuts_off: true, ..fake(["", "", "", "", ""]) };
        let error = set_up(&mut bmc, "rackwright", &Secret::new("seventeen-letters".into())).unwrap_err();
        assert_eq!(error.to_string(), "the BMC keeps only 16 bytes of its users' passwords");
        set_up(&mut bmc, "rackwright", &Secret::new("sixteen-letters!".into())).unwrap();
    }

    #[test]
    fn full_or_without_address() {
        let mut full = fake(["", "", "a", "b", "c"]);
        let error = set_up(&mut full, "rackwright", &Secret::new("p".into())).unwrap_err();
        assert!(error.to_string().contains("all 4 users"), "{error}");
        let mut unset = Fake { address: [0; 4], ..fake(["", "", "", "", ""]) };
        assert_eq!(set_up(&mut unset, "rackwright", &Secret::new("p".into())).unwrap(), None);
    }
}
