//! What a machine said on the wire, by `tcpdump` on the controller's interface: DHCP messages and the first lines of
//! HTTP requests, each with its time.
//!
//! Why: it is the same look at both servers, from outside, on one clock. The kernel sorts out everything else, so an
//! image that passes costs nothing.
//!
//! Left out: IPv6, VLAN tags, requests whose first packet does not begin with their method.

use anyhow::{Context, Result, ensure};
use rackwright_lab::process::{ProcessId, SIGINT};
use rackwright_lab::{Lab, poll, process};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// DHCP, and TCP segments that begin with `GET ` or `POST`.
const FILTER: &str = "udp port 67 or (tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420) \
                      or (tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354)";
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
/// Little-endian file, times in microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;

/// What one packet was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A DHCP message of this type (option 53, RFC 2132 section 9.6), about this machine, in either direction.
    Dhcp(u8),
    /// Method and path of an HTTP request of this machine, `GET /x`.
    Request(String),
}

/// One packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Seconds since 1970.
    pub at: f64,
    /// What it was.
    pub what: What,
}

/// A running capture.
pub struct Capture {
    process: ProcessId,
    file: PathBuf,
    mac: [u8; 6],
}

impl Capture {
    /// Captures on `eth1` of the lab's controller what concerns the machine with this MAC.
    pub fn start(lab: &Lab, mac: &str) -> Result<Self> {
        let file = lab.state().folder().join("capture.pcap");
        if file.exists() {
            fs::remove_file(&file)?;
        }
        let mut command = lab.exec("ctl", "tcpdump");
        command.args(["-i", "eth1", "-n", "-p", "-s", "600", "-U", "--immediate-mode", "-Z", "root", "-w"]);
        command.arg(&file).arg(FILTER);
        let running = lab.spawn("tcpdump", &command)?;
        let log = lab.process_log("tcpdump");
        poll::until(Duration::from_secs(20), "tcpdump to listen", || {
            ensure!(running.is_alive(), "it ended: {}", process::tail(&log, 3));
            Ok((file.metadata().map_or(0, |data| data.len()) >= FILE_HEADER as u64).then_some(()))
        })?;
        Ok(Self { process: running, file, mac: parse_mac(mac).context("not a MAC")? })
    }

    /// What was seen so far.
    pub fn seen(&self) -> Result<Vec<Packet>> {
        let bytes = fs::read(&self.file).with_context(|| self.file.display().to_string())?;
        parse(&bytes, self.mac)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.process.signal(SIGINT);
        if let Err(error) = self.process.stop(Duration::from_secs(5)) {
            eprintln!("tcpdump: {error:#}");
        }
    }
}

/// Packets of a capture file that concern the machine; an unfinished one at the end is left out.
fn parse(file: &[u8], mac: [u8; 6]) -> Result<Vec<Packet>> {
    let magic = number(file, 0).context("a capture without header")?;
    ensure!(magic == MAGIC, "not a capture file: magic {magic:08x}");
    let mut packets = Vec::new();
    let mut at = FILE_HEADER;
    while let Some((header, length)) = file.get(at..).zip(number(file, at + 8)) {
        let length = usize::try_from(length)?;
        let Some(frame) = header.get(PACKET_HEADER..PACKET_HEADER + length) else { break };
        let time =
            f64::from(number(header, 0).unwrap_or(0)) + f64::from(number(header, 4).unwrap_or(0)) / 1e6;
        packets.extend(read(frame, mac).map(|what| Packet { at: time, what }));
        at += PACKET_HEADER + length;
    }
    Ok(packets)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// An Ethernet frame with IPv4.
fn read(frame: &[u8], mac: [u8; 6]) -> Option<What> {
    const IPV4: [u8; 2] = [8, 0];
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    if frame.get(12..14)? != IPV4 {
        return None;
    }
    let packet = frame.get(14..)?;
    let payload = packet.get(usize::from(packet.first()? & 15) * 4..)?;
    match *packet.get(9)? {
        UDP => dhcp(payload.get(8..)?, mac),
        TCP if frame.get(6..12)? == mac => request(payload),
        _ => None,
    }
}

/// A BOOTP message (RFC 951 section 3) with DHCP options.
fn dhcp(message: &[u8], mac: [u8; 6]) -> Option<What> {
    const PAD: u8 = 0;
    const END: u8 = 255;
    const TYPE: u8 = 53;
    if message.get(28..34)? != mac {
        return None;
    }
    let mut options = message.get(240..)?;
    loop {
        match *options {
            [PAD, ref rest @ ..] => options = rest,
            [TYPE, _, kind, ..] => return Some(What::Dhcp(kind)),
            [END, ..] | [] | [_] => return None,
            [_, length, ref rest @ ..] => options = rest.get(usize::from(length)..)?,
        }
    }
}

fn request(segment: &[u8]) -> Option<What> {
    let text = segment.get(usize::from(segment.get(12)? >> 4) * 4..)?;
    let line = text.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?.rsplit_once(" HTTP/")?.0;
    Some(What::Request(line.to_owned()))
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let octets: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    octets?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

    fn frame(source: [u8; 6], protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = [&[0xff; 6][..], &source, &[8, 0]].concat();
        let mut ip = [0; 20];
        (ip[0], ip[9]) = (0x45, protocol);
        frame.extend(ip);
        frame.extend(payload);
        frame
    }

    fn discover(mac: [u8; 6]) -> Vec<u8> {
        let mut message = vec![0; 240];
        message[28..34].copy_from_slice(&mac);
        message.extend([0, 12, 2, b'n', b'x', 53, 1, 1, 255]);
        frame(mac, 17, &[&[0; 8][..], &message].concat())
    }

    fn get(mac: [u8; 6], text: &str) -> Vec<u8> {
        let mut head = [0; 32];
        head[12] = 8 << 4;
        frame(mac, 6, &[&head[..], text.as_bytes()].concat())
    }

    fn file(packets: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
        let mut file = MAGIC.to_le_bytes().to_vec();
        file.extend([0; 20]);
        for (seconds, micros, frame) in packets {
            let length = u32::try_from(frame.len()).unwrap();
            for number in [*seconds, *micros, length, length] {
                file.extend(number.to_le_bytes());
            }
            file.extend(frame);
        }
        file
    }

    #[test]
    fn what_the_machine_said_is_found_with_its_time() {
        let other = [9; 6];
        let file = file(&[
            (100, 250_000, discover(MAC)),
            (100, 300_000, discover(other)),
            (101, 0, get(MAC, "GET /boot/ipxe?mac=x HTTP/1.1\r\nHost: h\r\n")),
            (102, 0, get(other, "GET / HTTP/1.1\r\n")),
            (103, 0, get(MAC, "POST /agent/v1/hello HTTP/1.1\r\n")),
        ]);
        let request = |at, line: &str| Packet { at, what: What::Request(line.to_owned()) };
        let expected = [
            Packet { at: 100.25, what: What::Dhcp(1) },
            request(101.0, "GET /boot/ipxe?mac=x"),
            request(103.0, "POST /agent/v1/hello"),
        ];
        assert_eq!(parse(&file, MAC).unwrap(), expected);
        // What is cut off anywhere is no error; its last packet is not there yet.
        for length in FILE_HEADER..file.len() {
            let found = parse(&file[..length], MAC).unwrap();
            assert_eq!(found, expected[..found.len()], "{length} bytes");
        }
    }

    #[test]
    fn frames_of_any_content_are_read_without_a_panic() {
        let whole = discover(MAC);
        for length in 0..whole.len() {
            read(&whole[..length], MAC);
        }
        assert_eq!(read(&get(MAC, "GET /unfinished"), MAC), None);
        assert!(parse(b"not a capture, but long enough to be one", MAC).is_err());
    }
}
