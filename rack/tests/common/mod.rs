//! What these tests share: a world, bytes, programs, patience.

use rackwright_common::snapshot::{BlobRef, BootDecision, EphemeralBoot, HostInterface, HostView, Snapshot};
use rackwright_common::{Mac, Secret};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub const MAC: Mac = Mac([0x52, 0x54, 0, 0xab, 0xcd, 1]);

/// A world with one machine that boots `kernel` and `initrd`.
pub fn snapshot(kernel: BlobRef, initrd: BlobRef) -> Snapshot {
    let boot = EphemeralBoot {
        kernel,
        initrd,
        arguments: "console=ttyS0".to_owned(),
        token: Secret::new("t0ken".to_owned()),
        fence: None,
    };
    let host = HostView {
        machine: "abc234".parse().unwrap(),
        hostname: "node-1".parse().unwrap(),
        uuid: None,
        interfaces: vec![HostInterface { mac: MAC, address: None }],
        boot: BootDecision::Ephemeral(boot),
        secure_boot: Some(false),
    };
    Snapshot { generation: 1, hosts: vec![host], ..Snapshot::default() }
}

/// Bytes that do not repeat within a block, so that a misplaced one shows.
pub fn content(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(size).collect()
}

/// Runs a program to its end, away from the runtime.
pub async fn run(dir: &Path, program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir);
    let name = program.to_owned();
    tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap_or_else(|e| panic!("{name} does not start ({e}): it is needed for this test"))
}

/// Polls until `done` says so; the last thing seen is in the panic.
pub async fn until<T: std::fmt::Debug>(look: impl Fn() -> T, done: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = look();
        if done(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "last seen: {seen:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
