//! Our AMT device as clients see it that nobody here wrote: curl's digest, and the `amt` package of PyPI.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CHASSIS: &str = r#"#!/bin/sh
S=$1; shift
case $1 in
  get) echo "$2:$(cat $S/$2 2>/dev/null || echo 0)";;
  set) echo "$*" >> $S/calls; [ $2 = power ] && echo $3 > $S/power; exit 0;;
esac
"#;

struct Device {
    process: Child,
    address: Ipv4Addr,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Device {
    /// Listens on `port`; the client of PyPI knows the usual one only.
    fn start(address: Ipv4Addr, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("chassis.sh"), CHASSIS).expect("write");
        std::fs::set_permissions(path("chassis.sh"), PermissionsExt::from_mode(0o755)).expect("chmod");
        std::fs::write(path("password"), "secretpw\n").expect("write");
        let process = Command::new(env!("CARGO_BIN_EXE_rackwright-amt-sim"))
            .args(["--listen", &format!("{address}:{port}"), "--password-file"])
            .arg(path("password"))
            .arg("--")
            .arg(path("chassis.sh"))
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("the simulator starts");
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Err(error) = TcpStream::connect((address, port)) {
            assert!(Instant::now() < deadline, "the device does not listen: {error}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, address, port, folder }
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn curl(&self, login: &str, path: &str, body: &str) -> (String, String) {
        let output = Command::new("curl")
            .args(["-s", "--digest", "-u", login, "-H", "Content-Type: application/soap+xml", "-d", body])
            .args(["-w", "\n%{http_code}", &format!("http://{}:{}{path}", self.address, self.port)])
            .output()
            .expect("curl is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("curl writes the status last");
        (status.to_owned(), body.to_owned())
    }
}

const IDENTIFY: &str = "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Header/><s:Body>\
    <i:Identify xmlns:i=\"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd\"/></s:Body></s:Envelope>";

#[test]
fn curl_logs_in_with_digest() {
    let address = Ipv4Addr::new(127, 0, 0, 77);
    let port = TcpListener::bind((address, 0)).and_then(|free| free.local_addr()).expect("a port").port();
    let device = Device::start(address, port);
    let (status, body) = device.curl("admin:secretpw", "/wsman", IDENTIFY);
    assert_eq!(status, "200");
    assert!(body.contains("<i:ProductVendor>Intel(r)</i:ProductVendor>"), "{body}");
    assert_eq!(device.curl("admin:wrong", "/wsman", IDENTIFY).0, "401");
    assert_eq!(device.curl("other:secretpw", "/wsman", IDENTIFY).0, "401");
    assert_eq!(device.curl("admin:secretpw", "/index.htm", IDENTIFY).0, "404");
    let (status, body) = device.curl("admin:secretpw", "/wsman", "not XML");
    assert!(status == "400" && body.contains("Fault"), "{status} {body}");
}

/// The folder the package was installed to, or why there is none.
fn amt_package() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pypi-amt-0.8.0");
    if !folder.join("amt").is_dir() {
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .arg(&folder)
            .arg("amt==0.8.0")
            .output()
            .map_err(|error| format!("python3: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    Ok(folder)
}

const SCRIPT: &str = "
import sys
from amt.client import Client
c = Client(sys.argv[1], 'secretpw')
print(c.power_status(), c.power_on(), c.power_status())
c.pxe_next_boot()
print(c.power_cycle(), c.power_off(), c.power_status())
";

#[test]
fn the_amt_package_of_pypi_switches_power_and_boots_from_the_network() {
    let package = amt_package().unwrap_or_else(|reason| panic!("pip cannot install the package: {reason}"));
    let device = Device::start(Ipv4Addr::new(127, 0, 0, 78), rackwright_amt::PORT);
    let output = Command::new("python3")
        .args(["-c", SCRIPT, "127.0.0.78"])
        .env("PYTHONPATH", package)
        .output()
        .expect("python3 has just been used");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "8 0 2\n0 0 8\n", "{}", String::from_utf8_lossy(&output.stderr));
    let done = ["set power 1", "set boot pxe", "set power 0", "set power 1", "set power 0"];
    assert_eq!(device.calls(), done);
}
