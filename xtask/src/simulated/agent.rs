//! The in-band program and the installed system of a machine that is played.

use super::firmware::at;
use super::{Happened, Played, chassis, images};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// The image is fetched in pieces of this many bytes.
const PIECE: usize = 128 << 10;
/// … with a pause after each, so that a fault finds it at work.
const PAUSE: Duration = Duration::from_millis(400);

/// What cloud-init of the installed system shows.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    machine: String,
    operation: String,
    secret: String,
}

/// What an answer means.
enum Answer {
    Said(Value),
    /// The token is no longer good.
    Withdrawn,
}

/// One boot of the agent.
struct Session<'a> {
    played: &'a mut Played,
    boot: u64,
    boot_id: String,
    token: String,
}

impl Played {
    /// Whether the machine is off now; false when it is to boot again.
    pub(super) fn run_agent(&mut self, boot: u64, token: String) -> Result<bool> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
        Session { played: self, boot, boot_id, token }.run()
    }

    /// The installed system starts and reports; true when it has, or there is none.
    pub(super) fn start_system(&self, boot: u64) -> bool {
        let Some(known) = &self.installed else { return true };
        let Credentials { machine, operation, secret } = known;
        let oauth = format!(
            "OAuth oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{machine}\", oauth_token=\"{operation}\", oauth_signature=\"%26{secret}\""
        );
        let message = json!({
            "name": "modules-final", "event_type": "finish", "result": "SUCCESS",
            "description": "running modules", "timestamp": seconds(),
        });
        let headers = [("Authorization", oauth)];
        let asks = [
            ("GET", "/MAAS/metadata/2012-03-01/meta-data/instance-id".to_owned(), String::new()),
            ("POST", format!("/MAAS/metadata/status/{machine}"), message.to_string()),
        ];
        for (method, path, body) in asks {
            while !self.any_rack(|rack| Ok(at(rack, 5)?.exchange(method, &path, &headers, &body)?.0 == 200)) {
                if !self.lasts(boot) {
                    return true;
                }
                thread::sleep(Duration::from_millis(500));
            }
        }
        self.tell(Happened::Reported);
        true
    }

    fn any_rack(&self, asks: impl Fn(&str) -> Result<bool>) -> bool {
        self.racks.iter().any(|rack| asks(rack).unwrap_or(false))
    }
}

impl Session<'_> {
    fn run(&mut self) -> Result<bool> {
        let hello = json!({
            "boot_id": self.boot_id, "uuid": self.played.uuid, "serial": "SIM", "boot_mac": self.played.mac,
            "macs": [self.played.mac], "efi": false, "uptime_ms": 2000, "version": "simulated",
            "architecture": "x86_64",
        });
        let Answer::Said(reply) = self.ask("/agent/v1/hello", &hello)? else { return Ok(false) };
        if let Some(token) = reply["token"].as_str() {
            token.clone_into(&mut self.token);
        }
        loop {
            let next = json!({ "boot_id": self.boot_id, "wait_seconds": 2, "at_once": 1 });
            let Answer::Said(reply) = self.ask("/agent/v1/next", &next)? else { return Ok(false) };
            let item = &reply["item"];
            if item.is_null() {
                thread::sleep(Duration::from_millis(100));
                continue;
            }
            let number = |value: &Value| value.as_i64().context("a number of a work item");
            let (id, operation, epoch) = (
                number(&item["id"])?,
                number(&item["fence"]["operation"])?,
                number(&item["fence"]["epoch"])?,
            );
            let newest = self.played.epochs.entry(operation).or_insert(epoch);
            if epoch < *newest {
                self.played.tell(Happened::Refused(operation, epoch));
                continue;
            }
            *newest = epoch;
            let kind = item["work"]["kind"].as_str().unwrap_or_default().to_owned();
            let Some(mut result) = self.perform(&kind, &item["work"], operation, epoch)? else {
                return Ok(true);
            };
            result["boot_id"] = json!(self.boot_id);
            let Answer::Said(_) = self.ask(&format!("/agent/v1/items/{id}/result"), &result)? else {
                return Ok(false);
            };
            match kind.as_str() {
                "reboot" => return Ok(false),
                "power-off" => return chassis::switch_off(&self.played.folder).map(|()| true),
                _ => {}
            }
        }
    }

    /// What came of it; nothing when the power went away meanwhile.
    fn perform(&mut self, kind: &str, work: &Value, operation: i64, epoch: i64) -> Result<Option<Value>> {
        let mut result = json!({ "ok": true, "error": "", "duration_ms": 5 });
        match kind {
            "inventory" => result["inventory"] = self.inventory(),
            "script" => {
                result["script"] = json!({ "exit_code": 0, "stdout": "ok\n", "stderr": "", "result_yaml": "results: {speed: 5}" });
            }
            "install" => {
                self.played.tell(Happened::Installing(operation, epoch));
                if !self.install(work)? {
                    self.played.tell(Happened::PowerLost(operation));
                    return Ok(None);
                }
                self.played.tell(Happened::Installed(operation));
            }
            "erase" => self.played.installed = None,
            _ => {}
        }
        Ok(Some(result))
    }

    /// Fetches the image in pieces, each from whichever rack gives it; false when the power went away.
    fn install(&mut self, work: &Value) -> Result<bool> {
        self.played.installed = None;
        let sha256 = work["image"]["sha256"].as_str().context("the image's hash")?;
        let size = usize::try_from(work["image"]["size"].as_u64().context("the image's size")?)?;
        let mut image = Vec::with_capacity(size);
        while image.len() < size {
            if !self.played.lasts(self.boot) {
                return Ok(false);
            }
            let to = (image.len() + PIECE).min(size) - 1;
            match self.played.blob(sha256, Some((image.len(), to))) {
                Ok(piece) => image.extend(piece),
                Err(_) => thread::sleep(Duration::from_millis(300)),
            }
            thread::sleep(PAUSE);
        }
        if self.played.spoil.swap(false, Ordering::SeqCst) {
            image[size / 2] ^= 1;
        }
        let file = self.played.folder.join("written");
        fs::write(&file, &image)?;
        if images::sha256(&file)? != sha256 {
            self.played.tell(Happened::Damaged(sha256.to_owned()));
        }
        let seed = |name: &str| work["metadata"][name].as_str().unwrap_or_default().to_owned();
        self.played.installed = Some(Credentials {
            machine: seed("consumer_key"),
            operation: seed("token_key"),
            secret: seed("token_secret"),
        });
        Ok(true)
    }

    /// Asks the racks in turn until one passes on a region's answer.
    fn ask(&mut self, path: &str, body: &Value) -> Result<Answer> {
        let headers = [
            ("Authorization", format!("Bearer {}", self.token)),
            ("Content-Type", "application/json".to_owned()),
        ];
        while self.played.lasts(self.boot) {
            for rack in self.played.racks.clone() {
                match at(&rack, 8)?.exchange("POST", path, &headers, &body.to_string()) {
                    Ok((200..300, body)) => {
                        return Ok(Answer::Said(serde_json::from_slice(&body).unwrap_or(Value::Null)));
                    }
                    Ok((401 | 410, _)) => return Ok(Answer::Withdrawn),
                    Ok(_) | Err(_) => {}
                }
            }
            thread::sleep(Duration::from_millis(300));
        }
        bail!("the power went away")
    }

    fn inventory(&self) -> Value {
        json!({
            "system": { "uuid": self.played.uuid, "vendor": "Lab", "product": "Simulated", "serial": "SIM" },
            "cpu": { "architecture": "x86_64", "cores": 2, "threads": 2, "sockets": 1 },
            "memory_mib": 1024,
            "disks": [{ "name": "vda", "serial": "D1", "size_bytes": 8_589_934_592_u64, "sector_bytes": 512 }],
            "interfaces": [{ "name": "eth0", "mac": self.played.mac, "link": true, "boot": true }],
        })
    }
}

fn seconds() -> f64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}
