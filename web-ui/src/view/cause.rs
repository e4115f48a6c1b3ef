//! The likeliest cause of an operation that failed or waits for long, and what to do next.
//!
//! Rules over what was seen: how far the network boot came, what the work of the agent said, the last lines of the serial console.
//! What a machine or a program said by itself counts more than where the evidence ends, so the rules stand in this order and the
//! first that fits is told. No rule fits: nothing is told, rather than a guess.

use rackwright_common::OperationId;
use rackwright_region::model::event::Event;
use rackwright_region::model::operation::OperationDetail;
use time::OffsetDateTime;

/// A cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What is wrong, one sentence.
    pub what: &'static str,
    /// What shows it.
    pub evidence: String,
    /// What to do, one sentence.
    pub action: &'static str,
}

/// What the rules look at.
struct Seen<'a> {
    /// Why it failed, and what its work said.
    said: Vec<&'a str>,
    /// The console.
    console: Vec<&'a str>,
    /// The furthest that the last network boot came.
    stage: Option<&'a str>,
    detail: &'a str,
    /// It asked for an address and got none, however often.
    asked: usize,
    kind: &'a str,
    step: &'a str,
}

/// Something that a program says, in lower case, and what it means.
struct Phrase {
    /// Any of these.
    any: &'static [&'static str],
    what: &'static str,
    action: &'static str,
}

/// What firmware, boot loaders, kernels and the agent say. The most telling ones first.
const PHRASES: &[Phrase] = &[
    Phrase {
        any: &[
            "security violation",
            "verification failed: (0x1a)",
            "bad shim signature",
            "prohibited by secure boot",
            "image authorization fail",
        ],
        what: "Secure Boot refuses what the machine was given to boot",
        action: "Give it a signed boot loader and kernel (build the boot loaders anew with shim), or switch Secure Boot off in its firmware.",
    },
    Phrase {
        any: &[
            "exec format error",
            "error: invalid magic number",
            "unsupported machine type",
            "not a valid efi",
            "wrong architecture",
        ],
        what: "What was fetched is for another architecture, or for another kind of firmware",
        action: "Compare the machine's architecture and its firmware's mode (BIOS or UEFI) with the image and the boot loader.",
    },
    Phrase {
        any: &[
            "the download is damaged",
            "its sha-256 is",
            "zstd: corrupt",
            "corrupted block",
            "junk in compressed archive",
            "crc error",
            "initramfs unpacking failed",
        ],
        what: "What was fetched arrived damaged",
        action: "Try again; when it comes again, compare the image's files on the page Images with their hashes, and look at the rack's disk and the cable.",
    },
    Phrase {
        any: &[
            "is smaller than the image",
            "has no disk to install to",
            "this machine has no disk",
            "no space left on device",
            "no disk has the serial number",
        ],
        what: "No disk is there that takes the image",
        action: "Choose another disk or a smaller root under Edit, or another image; commission the machine again when disks were changed.",
    },
    Phrase {
        any: &[
            "certificate is not yet valid",
            "certificate has expired",
            "certificate expired",
            "clock skew",
            "time is in the future",
        ],
        what: "The machine's clock, or this site's, is off",
        action: "Set the clock in the machine's firmware, and see that racks and regions are synchronised.",
    },
    Phrase {
        any: &["the bmc refuses the login"],
        what: "The BMC does not take user name and password",
        action: "Set them under Edit; a BMC that locks its user needs some minutes, or its own page.",
    },
    Phrase {
        any: &["the machine stays on; look at the machine", "says the machine is still on"],
        what: "The BMC says that it switched, and does not",
        action: "Restart the BMC (machine power reset-bmc), or switch the machine by its button; an old BMC firmware is worth an update.",
    },
    Phrase {
        any: &["the bmc does not answer"],
        what: "No rack reaches the BMC",
        action: "Check its address under Edit, its cable, and that a rack has a way into its network.",
    },
    Phrase {
        any: &["cloud-init of the installed system failed"],
        what: "The system was installed, and what it was told to set up failed",
        action: "Look at the user data of the deployment, and in the machine at /var/log/cloud-init-output.log.",
    },
    Phrase {
        any: &["kernel panic", "unable to mount root fs"],
        what: "The kernel stopped",
        action: "Read the lines above on the console: mostly a driver or memory is missing; the generic kernel has more drivers.",
    },
    Phrase {
        any: &["out of memory", "not enough memory", "oom-kill"],
        what: "The machine has too little memory for this",
        action: "The ephemeral environment needs 1 GiB; compare with the datasheet, where a module may be missing.",
    },
    Phrase {
        any: &[
            "no bootable device",
            "boot failed: not a bootable disk",
            "no operating system",
            "reboot and select proper boot device",
        ],
        what: "The firmware finds nothing to boot on the disk",
        action: "See that its firmware boots in the mode (BIOS or UEFI) that the image was installed for, and from this disk after the network.",
    },
    Phrase {
        any: &["i/o error, dev", "medium error", "uncorrectable error"],
        what: "A disk does not read or write",
        action: "Test the disks; replace the one that the line names.",
    },
    Phrase {
        any: &[
            "no route to host",
            "network is unreachable",
            "network unreachable",
            "connection timed out",
            "connection refused",
        ],
        what: "The machine does not reach the rack",
        action: "Check the subnet's gateway and the VLAN of the switch port, and that nothing filters the rack's ports 69 and 5248.",
    },
    Phrase {
        any: &["pxe-e53", "pxe-e23", "file not found", "tftp error: 1", "pxe-t01"],
        what: "A file that the machine asked for is not there",
        action: "Build the boot loaders and the ephemeral environment (rackwright image build-ephemeral), or look which foreign DHCP server named that file.",
    },
];

/// The likeliest cause, of one that failed, or that waits in its step for more than two minutes.
pub fn likeliest(detail: &OperationDetail, events: &[Event], now: OffsetDateTime) -> Option<Cause> {
    let op = &detail.operation;
    let waits = op.is_running() && (now - op.step_since.0).whole_seconds() > 120;
    if op.status != "failed" && !waits {
        return None;
    }
    let boots: Vec<_> = events.iter().filter(|e| e.kind == "machine.boot" && of(e, op.id)).collect();
    let stage = |e: &Event| e.data.get("stage").and_then(|s| s.as_str()).unwrap_or_default().to_owned();
    let last = boots.last().map(|e| stage(e));
    let failed = detail.items.iter().filter(|i| i.status == "failed").map(|i| i.error.as_str());
    let seen = Seen {
        said: op.error.as_deref().into_iter().chain(failed).chain([op.message.as_str()]).collect(),
        console: detail.console_tail.iter().map(String::as_str).collect(),
        asked: boots.iter().filter(|e| stage(e) == "discover").count(),
        stage: last.as_deref(),
        detail: boots.last().map_or("", |e| e.message.as_str()),
        kind: &op.kind,
        step: &op.step,
    };
    phrase(&seen).or_else(|| boot(&seen)).or_else(|| installed(&seen))
}

fn of(event: &Event, operation: OperationId) -> bool {
    event.operation.is_none_or(|id| id == operation)
}

fn phrase(seen: &Seen<'_>) -> Option<Cause> {
    let lines: Vec<&str> = seen.said.iter().chain(&seen.console).copied().collect();
    PHRASES.iter().find_map(|rule| {
        let fits = |line: &&&str| {
            let line = line.to_lowercase();
            rule.any.iter().any(|words| line.contains(words))
        };
        let line = lines.iter().find(fits)?;
        Some(Cause { what: rule.what, evidence: format!("“{}”", shortened(line)), action: rule.action })
    })
}

fn shortened(line: &str) -> String {
    let line = line.trim();
    if line.chars().count() <= 160 {
        line.to_owned()
    } else {
        format!("{}…", line.chars().take(160).collect::<String>())
    }
}

/// Where the evidence of a network boot ends, while the agent is waited for.
fn boot(seen: &Seen<'_>) -> Option<Cause> {
    if !["await-agent", "network-boot", "await_agent", "network_boot"].contains(&seen.step) {
        return None;
    }
    let cause = |what, evidence: String, action| Some(Cause { what, evidence, action });
    match seen.stage {
        None => cause(
            "The machine does not ask any rack for an address: it is in another VLAN, or does not boot from the network",
            "no rack has heard it since it was switched on".into(),
            "Check that it is really on, that its firmware boots from the network first, its cable, and the VLAN of its switch port.",
        ),
        Some("discover") => cause(
            "It asks for an address and takes none: another DHCP server answers it, or answers do not reach it",
            format!("{} requests for an address, and none taken", seen.asked),
            "Look for another DHCP server in its VLAN, for DHCP snooping on the switch, and for free addresses in the dynamic range.",
        ),
        Some("ack") => cause(
            "It has an address and fetches nothing: it does not reach the rack, or another server told it where to boot from",
            "an address was taken, and no file asked for".into(),
            "Check that nothing filters TFTP (port 69) between the machine and the rack, and look for another DHCP server.",
        ),
        Some("loader") => cause(
            "It fetched its boot loader and does not run it: Secure Boot refuses it, or it is for another architecture",
            seen.detail.to_owned(),
            "Compare its firmware's mode, its architecture and its Secure Boot setting with what it was given; the console tells which.",
        ),
        Some("script" | "kernel") => cause(
            "It was told what to boot and does not get it",
            seen.detail.to_owned(),
            "Check that nothing filters the rack's HTTP port (5248), and that the rack has the ephemeral environment.",
        ),
        Some("initrd") => cause(
            "It has kernel and initrd, and the agent in it does not report: a driver is missing, or memory",
            "everything was fetched".into(),
            "Look at its console; build the ephemeral environment with the generic kernel, which has more drivers.",
        ),
        Some("refused") => cause(
            "It asked for a file that the rack does not have",
            seen.detail.to_owned(),
            "Check its firmware's boot settings, and whether another DHCP server names a file.",
        ),
        Some(_) => None,
    }
}

/// The system was written and is not heard.
fn installed(seen: &Seen<'_>) -> Option<Cause> {
    let waits = ["await-system", "await_system"].contains(&seen.step) && seen.kind == "deploy";
    waits.then(|| Cause {
        what: "The installed system does not report: it does not boot from its disk, or has no way to the rack",
        evidence: "the image was written, and cloud-init was not heard to its end".into(),
        action: "Look at its console: the firmware's boot order, and the network that the system has set up.",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;
    use serde_json::json;

    /// A deployment that failed at a step, with what was seen.
    fn failed(step: &str, error: &str, console: &[&str], stages: &[&str]) -> Option<Cause> {
        let (mut detail, _) = sample::deployment();
        let op = &mut detail.operation;
        (op.status, op.step, op.error, op.message) =
            ("failed".into(), step.into(), Some(error.into()), String::new());
        detail.items.clear();
        detail.console_tail = console.iter().map(|l| (*l).to_owned()).collect();
        let event = |stage: &&str| -> Event {
            let value = json!({ "id": 1, "at": "2026-11-22T06:28:00Z", "kind": "machine.boot", "level": "debug", "actor": "rack:a",
                                "operation": null, "machine": "k3x9ab", "message": format!("stage {stage}"), "data": { "stage": stage } });
            serde_json::from_value(value).expect("a sample fits its model")
        };
        let events: Vec<Event> = stages.iter().map(event).collect();
        likeliest(&detail, &events, crate::view::sample_now())
    }

    /// Step, reason, console, stages of the boot, and a part of the cause.
    type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str], &'a str);

    #[test]
    fn twenty_common_failures_have_a_cause_and_a_next_action() {
        let cases: &[Case<'_>] = &[
            ("await-agent", "never reported", &[], &[], "another VLAN"),
            ("await-agent", "never reported", &[], &["discover", "discover"], "another DHCP server answers"),
            ("await-agent", "never reported", &[], &["discover", "ack"], "does not reach the rack"),
            ("await-agent", "never reported", &[], &["ack", "loader"], "does not run it"),
            ("await-agent", "never reported", &[], &["loader", "script"], "does not get it"),
            ("await-agent", "never reported", &[], &["kernel", "initrd"], "driver is missing"),
            ("await-agent", "never reported", &[], &["refused"], "does not have"),
            (
                "await-agent",
                "never reported",
                &["PXE-E23: Client received TFTP error"],
                &["ack"],
                "file that the machine asked for",
            ),
            (
                "await-agent",
                "never reported",
                &["Could not boot: Exec format error (https://ipxe.org/2e852001)"],
                &["loader"],
                "another architecture",
            ),
            (
                "await-agent",
                "never reported",
                &["Verification failed: (0x1A) Security Violation"],
                &["loader"],
                "Secure Boot",
            ),
            (
                "install",
                "the download is damaged: its SHA-256 is ab instead of cd",
                &[],
                &[],
                "arrived damaged",
            ),
            ("install", "disk vda (2 GiB) is smaller than the image (4 GiB)", &[], &[], "No disk"),
            (
                "power-off",
                "the BMC takes the command to switch off, but the machine stays on; look at the machine",
                &[],
                &[],
                "does not",
            ),
            (
                "power-off",
                "the BMC does not answer (timeout): check its address, cable and network",
                &[],
                &[],
                "No rack reaches",
            ),
            (
                "power-off",
                "the BMC refuses the login (bad password): check user name",
                &[],
                &[],
                "user name and password",
            ),
            (
                "await-agent",
                "never reported",
                &["wget: can't connect: No route to host"],
                &["initrd"],
                "does not reach the rack",
            ),
            ("await-agent", "never reported", &["tls: certificate is not yet valid"], &["initrd"], "clock"),
            ("await-system", "cloud-init of the installed system failed: runcmd", &[], &[], "set up failed"),
            (
                "await-agent",
                "never reported",
                &["Kernel panic - not syncing: VFS: Unable to mount root fs"],
                &["initrd"],
                "kernel stopped",
            ),
            (
                "await-system",
                "the installed system did not report",
                &["No bootable device."],
                &[],
                "nothing to boot",
            ),
            ("await-system", "the installed system did not report", &[], &[], "does not report"),
        ];
        for (step, error, console, stages, wanted) in cases {
            let cause = failed(step, error, console, stages);
            let cause = cause.unwrap_or_else(|| panic!("no cause of {error} {console:?} {stages:?}"));
            assert!(cause.what.contains(wanted), "{error} {console:?} {stages:?}: {cause:?}");
            assert!(cause.action.ends_with('.') && !cause.evidence.is_empty(), "{cause:?}");
        }
    }

    #[test]
    fn what_goes_well_or_is_not_known_has_no_cause() {
        let (detail, events) = sample::deployment();
        assert_eq!(likeliest(&detail, &events, crate::view::sample_now()), None);
        assert_eq!(failed("install", "something else", &[], &[]), None);
    }
}
