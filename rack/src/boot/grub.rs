//! What signed GRUB gets (Secure Boot): a configuration, decided from the snapshot alone.
//!
//! This GRUB has no HTTP and can load no module: kernel and initial RAM disk come by TFTP, and it knows itself only by
//! MAC. `/grub/grub.cfg` sends each machine to a file of its own, so that no machine sees another's token. It does not go
//! on to iPXE where signatures are not checked: OVMF's network card does not survive the change of hands (iPXE finds no
//! device, or hangs).

use super::decide::{Script, decide, hyphens, kernel_arguments, printable, racks};
use rackwright_common::Mac;
use rackwright_common::link::BootStage;
use rackwright_common::snapshot::{BootDecision, EphemeralBoot, HostView, Snapshot};
use std::fmt::Write;

/// Folder of the machines' own files, below GRUB's prefix.
const BY_MAC: &str = "grub/by-mac/";

/// `/grub/grub.cfg`: the same for all.
pub fn entry() -> &'static str {
    "set timeout=0
configfile ${prefix}/by-mac/${net_default_mac}.cfg
echo 'Rackwright: no answer for this machine; restarting in 10 seconds.'
sleep 10
reboot
"
}

/// The MAC in the name of a machine's own file; `None` for other names.
pub fn mac_in_name(name: &str) -> Option<Mac> {
    name.strip_prefix(BY_MAC)?.strip_suffix(".cfg")?.parse().ok()
}

/// The configuration of the machine with this MAC. `rack` is the `address:port` of this rack's HTTP service.
pub fn script(snapshot: &Snapshot, mac: Mac, rack: &str) -> Script {
    let host = snapshot.host_by_mac(mac);
    let name =
        host.map_or_else(|| "unknown machine".to_owned(), |h| format!("{} ({})", h.hostname, h.machine));
    let mut text = format!("echo {}\n", quoted(&format!("Rackwright: {name}")));
    let (stage, detail) = match decide(snapshot, None, Some(mac)) {
        None => {
            text.push_str(
                "echo 'This machine is not known, and unknown machines are not enlisted.'\nsleep 3\n",
            );
            text.push_str(LOCAL);
            (BootStage::Refused, "unknown machine, and enlisting is off".to_owned())
        }
        Some(BootDecision::Local) => {
            text.push_str(LOCAL);
            (BootStage::Script, "local disk".to_owned())
        }
        Some(BootDecision::PowerOff) => {
            text.push_str("echo 'Powering off.'\nhalt\n");
            (BootStage::Script, "power off".to_owned())
        }
        Some(BootDecision::Hold { reason }) => {
            let reason = printable(&reason);
            let shown = quoted(&format!("Waiting: {reason}"));
            write!(text, "echo {shown}\nsleep 10\nreboot\n").expect("text takes text");
            (BootStage::Script, format!("wait: {reason}"))
        }
        Some(BootDecision::Ephemeral(boot)) => {
            ephemeral(&mut text, &racks(snapshot, rack), mac, host, &boot);
            let what =
                if host.is_some() { "ephemeral environment" } else { "ephemeral environment, to enlist" };
            (BootStage::Script, what.to_owned())
        }
    };
    Script { text, stage, detail }
}

/// The boot loader of the installed system, wherever it put itself (`root` has to be its disk, or shim looks for its next
/// stage on the network); else back to the firmware with an error, which
/// makes it try its next entry.
const LOCAL: &str = "echo 'Booting from the local disk.'
for file in /efi/debian/shimx64.efi /efi/ubuntu/shimx64.efi /efi/redhat/shimx64.efi /efi/boot/bootx64.efi; do
  if search --no-floppy --set=root --file $file; then
    chainloader ($root)$file
    boot
  fi
done
exit 1
";

fn ephemeral(text: &mut String, racks: &[String], mac: Mac, host: Option<&HostView>, boot: &EphemeralBoot) {
    let arguments = kernel_arguments(racks, host, boot, &hyphens(mac));
    let words: Vec<String> = arguments.split_whitespace().map(quoted).collect();
    for rack in racks {
        let server = host_of(rack);
        write!(
            text,
            "if linux (tftp,{server})/blob/{} {}; then
  if initrd (tftp,{server})/blob/{}; then
    boot
  fi
fi
",
            boot.kernel.sha256,
            words.join(" "),
            boot.initrd.sha256
        )
        .expect("text takes text");
    }
    text.push_str(
        "echo 'No rack gave kernel and initial RAM disk; restarting in 10 seconds.'\nsleep 10\nreboot\n",
    );
}

fn host_of(rack: &str) -> &str {
    rack.rsplit_once(':').map_or(rack, |(host, _)| host)
}

/// One word to GRUB's shell.
fn quoted(text: &str) -> String {
    format!("'{}'", printable(text).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::super::decide::tests::{MAC, ephemeral_boot, snapshot};
    use super::*;

    const RACK: &str = "10.0.0.1:5248";

    #[test]
    fn every_machine_has_a_file_of_its_own() {
        assert_eq!(mac_in_name("grub/by-mac/52:54:00:ab:cd:01.cfg"), Some(MAC));
        for name in ["grub/grub.cfg", "grub/by-mac/x.cfg", "by-mac/52:54:00:ab:cd:01.cfg"] {
            assert_eq!(mac_in_name(name), None);
        }
    }

    #[test]
    fn kernel_and_initrd_come_by_tftp_from_any_rack() {
        let script = script(&snapshot(BootDecision::Ephemeral(ephemeral_boot())), MAC, RACK);
        let (k, i) = ("a".repeat(64), "b".repeat(64));
        let arguments = "'BOOTIF=01-52-54-00-ab-cd-01' 'rackwright.racks=10.0.0.1:5248,10.0.0.2:5248' \
                         'rackwright.token=t0ken' 'rackwright.machine=abc234' 'console=ttyS0'";
        assert_eq!(
            script.text,
            format!(
                "echo 'Rackwright: node-1 (abc234)'
if linux (tftp,10.0.0.1)/blob/{k} {arguments}; then
  if initrd (tftp,10.0.0.1)/blob/{i}; then
    boot
  fi
fi
if linux (tftp,10.0.0.2)/blob/{k} {arguments}; then
  if initrd (tftp,10.0.0.2)/blob/{i}; then
    boot
  fi
fi
echo 'No rack gave kernel and initial RAM disk; restarting in 10 seconds.'
sleep 10
reboot
"
            )
        );
    }

    #[test]
    fn a_rack_that_was_reached_over_ipv6_is_named_with_brackets() {
        let decision = BootDecision::Ephemeral(ephemeral_boot());
        let script = script(&snapshot(decision), MAC, "[fd00:77::1]:5248");
        assert!(script.text.contains("if linux (tftp,[fd00:77::1])/blob/"), "{}", script.text);
        assert!(script.text.contains("'rackwright.racks=[fd00:77::1]:5248,10.0.0.2:5248"), "{}", script.text);
    }

    #[test]
    fn local_boot_looks_for_an_installed_loader() {
        let script = script(&snapshot(BootDecision::Local), MAC, RACK);
        assert!(script.text.contains("chainloader ($root)$file"));
        assert!(script.text.ends_with("exit 1\n"));
    }

    #[test]
    fn a_reason_is_only_words() {
        let reason = "it's\nhalt".to_owned();
        let script = script(&snapshot(BootDecision::Hold { reason }), MAC, RACK);
        assert!(script.text.contains("echo 'Waiting: it'\\''s halt'\n"), "{}", script.text);
    }

    #[test]
    fn a_stranger_without_enlisting_is_refused() {
        let script = script(&Snapshot { generation: 1, ..Snapshot::default() }, MAC, RACK);
        assert_eq!(script.stage, BootStage::Refused);
    }
}
