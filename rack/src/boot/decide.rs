//! What an iPXE client gets: a script, decided from the snapshot alone.
//!
//! No script is a dead end. Kernel and initial RAM disk are tried on every rack of the network, this one first; when
//! none gives them, the machine waits, restarts, or asks again. Measured facts behind the text: UEFI needs `initrd=NAME` on
//! the command line; local boot is `exit 1` under UEFI (a plain `exit` stops in the firmware's menu); old builds know
//! no `poweroff`, and very old ones no `--timeout`. Without that, a download from a rack that has lost its power never ends: nobody says
//! goodbye, and the loader only listens.

use rackwright_common::Mac;
use rackwright_common::link::BootStage;
use rackwright_common::snapshot::{BootDecision, EphemeralBoot, HostView, Snapshot};
use std::fmt::Write;
use uuid::Uuid;

/// Who asks, as it said, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The interface it boots from.
    pub mac: Option<Mac>,
    /// SMBIOS system UUID.
    pub uuid: Option<Uuid>,
    /// `address:port` of the rack's HTTP service that it reached.
    pub rack: String,
}

/// A boot script, and the step to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The text.
    pub text: String,
    /// What was decided.
    pub stage: BootStage,
    /// The same for people.
    pub detail: String,
}

/// The iPXE script for `asker`.
pub fn ipxe_script(snapshot: &Snapshot, asker: &Asker) -> Script {
    let host = snapshot.host(asker.uuid, asker.mac);
    let name =
        host.map_or_else(|| "unknown machine".to_owned(), |h| format!("{} ({})", h.hostname, h.machine));
    let mut text = format!("#!ipxe\necho Rackwright: {name}\n");
    let (stage, detail) = match decide(snapshot, asker.uuid, asker.mac) {
        None => {
            text.push_str(
                "echo This machine is not known, and unknown machines are not enlisted.\nsleep 3\n",
            );
            text.push_str(LOCAL);
            (BootStage::Refused, "unknown machine, and enlisting is off".to_owned())
        }
        Some(BootDecision::Local) => {
            text.push_str("echo Booting from the local disk.\n");
            text.push_str(LOCAL);
            (BootStage::Script, "local disk".to_owned())
        }
        Some(BootDecision::PowerOff) => {
            text.push_str("echo Powering off.\npoweroff ||\necho This boot loader cannot power off; asking again in 30 seconds.\n");
            ask_again(&mut text, snapshot, asker, 30);
            (BootStage::Script, "power off".to_owned())
        }
        Some(BootDecision::Hold { reason }) => {
            let reason = printable(&reason);
            writeln!(text, "echo Waiting: {reason}").expect("text takes text");
            ask_again(&mut text, snapshot, asker, 5);
            (BootStage::Script, format!("wait: {reason}"))
        }
        Some(BootDecision::Ephemeral(boot)) => {
            ephemeral(&mut text, snapshot, asker, host, &boot);
            let what =
                if host.is_some() { "ephemeral environment" } else { "ephemeral environment, to enlist" };
            (BootStage::Script, what.to_owned())
        }
    };
    Script { text, stage, detail }
}

/// The snapshot's decision. A rack that has never had one says to wait.
pub(super) fn decide(snapshot: &Snapshot, uuid: Option<Uuid>, mac: Option<Mac>) -> Option<BootDecision> {
    if snapshot.generation == 0 {
        let reason = "this rack has not heard from a region yet".to_owned();
        return Some(BootDecision::Hold { reason });
    }
    snapshot.boot_decision(uuid, mac)
}

/// Milliseconds without a byte after which a boot loader tries the next rack.
const STALLED: u32 = 8000;

const LOCAL: &str = "iseq ${platform} efi && exit 1 || exit\n";

fn ephemeral(
    text: &mut String,
    snapshot: &Snapshot,
    asker: &Asker,
    host: Option<&HostView>,
    boot: &EphemeralBoot,
) {
    let racks = racks(snapshot, &asker.rack);
    let interface = asker.mac.map_or_else(|| "${net0/mac:hexhyp}".to_owned(), hyphens);
    let arguments = kernel_arguments(&racks, host, boot, &interface);
    let mut write = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    write(format!("set arguments initrd=initrd {arguments}"));
    // A loader that knows no timeout refuses the first round at once, and takes the second.
    let rounds = [format!("--timeout {STALLED} "), String::new()];
    let tries: Vec<_> =
        rounds.iter().flat_map(|timeout| racks.iter().map(move |rack| (timeout, rack))).collect();
    for (number, (timeout, rack)) in tries.iter().enumerate() {
        let next = if number + 1 < tries.len() { format!("try{}", number + 1) } else { "failed".to_owned() };
        write(format!(":try{number}"));
        write("imgfree ||".to_owned());
        let (kernel, initrd) = (&boot.kernel.sha256, &boot.initrd.sha256);
        write(format!("kernel {timeout}http://{rack}/blob/{kernel} ${{arguments}} || goto {next}"));
        write(format!("initrd {timeout}--name initrd http://{rack}/blob/{initrd} || goto {next}"));
        write(format!("boot || goto {next}"));
    }
    write(":failed".to_owned());
    write("echo No rack gave kernel and initial RAM disk; restarting in 10 seconds.".to_owned());
    write("sleep 10".to_owned());
    write("reboot ||".to_owned());
    ask_again(text, snapshot, asker, 10);
}

/// Waits, then asks for a new script, of every rack in turn, for ever.
fn ask_again(text: &mut String, snapshot: &Snapshot, asker: &Asker, seconds: u32) {
    let mac = asker.mac.map_or_else(|| "${net0/mac}".to_owned(), |m| m.to_string());
    let uuid = asker.uuid.map_or_else(|| "${uuid}".to_owned(), |u| u.to_string());
    writeln!(text, ":again\nsleep {seconds}").expect("text takes text");
    for rack in racks(snapshot, &asker.rack) {
        writeln!(text, "chain --replace --autofree http://{rack}/boot/ipxe?mac={mac}&uuid={uuid} ||")
            .expect("text takes text");
    }
    text.push_str("goto again\n");
}

/// The kernel's command line. `interface` is the MAC that boots, with hyphens.
pub(super) fn kernel_arguments(
    racks: &[String],
    host: Option<&HostView>,
    boot: &EphemeralBoot,
    interface: &str,
) -> String {
    let mut line = format!("BOOTIF=01-{interface} rackwright.racks={}", racks.join(","));
    write!(line, " rackwright.token={}", printable(boot.token.expose())).expect("text takes text");
    if let Some(host) = host {
        write!(line, " rackwright.machine={}", host.machine).expect("text takes text");
    }
    let more = printable(&boot.arguments);
    if !more.is_empty() {
        write!(line, " {more}").expect("text takes text");
    }
    line
}

/// The racks to try: the one that was asked, then the others.
pub(super) fn racks(snapshot: &Snapshot, asked: &str) -> Vec<String> {
    let others = snapshot.racks.iter().filter(|r| *r != asked);
    std::iter::once(asked.to_owned()).chain(others.map(|r| printable(r))).collect()
}

/// A MAC as PXE writes it in `BOOTIF`.
pub(super) fn hyphens(mac: Mac) -> String {
    mac.to_string().replace(':', "-")
}

/// One line: nothing in a name or reason may begin a command of its own.
pub(super) fn printable(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    one_line.trim().to_owned()
}

#[cfg(test)]
pub(super) mod tests;
