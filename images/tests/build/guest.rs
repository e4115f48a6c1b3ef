//! A QEMU guest without a way out: its serial console is a file, and it dies with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A folder that is kept between runs, so that packages are downloaded once.
pub fn cache() -> PathBuf {
    let folder = std::env::var_os("RACKWRIGHT_IMAGE_CACHE").map(PathBuf::from);
    folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("packages"))
}

/// A running guest.
pub struct Guest {
    child: Child,
    serial: PathBuf,
    started: Instant,
}

impl Guest {
    /// Starts a guest with these arguments beside the common ones; its console goes to `serial`.
    pub fn start(serial: &Path, arguments: &[String]) -> Self {
        let child = Command::new("qemu-system-x86_64")
            .args([
                "-accel",
                "tcg",
                "-m",
                "1024",
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args(["-monitor", "none", "-serial", &format!("file:{}", serial.display())])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("qemu-system-x86 is installed");
        Self { child, serial: serial.to_owned(), started: Instant::now() }
    }

    /// Waits until the console shows `text`, and gives back the whole console and the seconds since the start.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> (String, f32) {
        loop {
            let console =
                String::from_utf8_lossy(&fs::read(&self.serial).unwrap_or_default()).replace('\r', "");
            if console.contains(text) {
                return (console, self.started.elapsed().as_secs_f32());
            }
            let ended = self.child.try_wait().expect("the guest is our child");
            let last: Vec<&str> = console.lines().rev().take(8).collect();
            assert!(
                ended.is_none(),
                "the guest ended ({ended:?}) before {text:?}; last, newest first: {last:#?}"
            );
            assert!(
                self.started.elapsed() < limit,
                "no {text:?} in {limit:?}; last, newest first: {last:#?}"
            );
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
