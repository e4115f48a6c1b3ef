//! The floor: the same machine, kernel and initial RAM disk, served by dnsmasq (DHCP, TFTP, router advertisements) and
//! nginx (HTTP), set up as somebody would who knows what costs time.
//!
//! What holds: paths, ports, addresses and kernel arguments are those that Rackwright uses, so that the client does the
//! same work; nothing answers the agent's hello, which is the end of the way.

use super::capture::Capture;
use super::stages::{Files, Stage, Times, times};
use super::{Boot, KERNEL_ARGUMENTS, Place};
use crate::bench::figures::written_at;
use anyhow::{Context, Result, ensure};
use rackwright_lab::{ns, poll};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder of files for the lab's controller, and the servers on it.
pub struct Floor<'a> {
    place: &'a Place<'a>,
    files: Files,
}

impl<'a> Floor<'a> {
    /// Lays out the files and starts both servers. `images` holds `ephemeral` and `bootloaders`.
    pub fn start(place: &'a Place<'a>, images: &Path) -> Result<Self> {
        let folder = place.lab.state().data();
        let www = folder.join("www");
        let files = files(&images.join("ephemeral"))?;
        for (path, source) in [(&files.kernel, "ephemeral/vmlinuz"), (&files.initrd, "ephemeral/initrd")] {
            copy(&images.join(source), &www.join(path.trim_start_matches('/')))?;
        }
        for loader in ["undionly.kpxe", "snponly.efi"] {
            copy(&images.join("bootloaders").join(loader), &folder.join("tftp").join(loader))?;
        }
        fs::create_dir_all(www.join("boot"))?;
        fs::write(www.join("boot/ipxe"), script(&files))?;
        fs::write(folder.join("dnsmasq.conf"), dnsmasq(&folder))?;
        fs::write(folder.join("nginx.conf"), nginx(&folder))?;
        let floor = Self { place, files };
        floor.serve(&folder)?;
        Ok(floor)
    }

    fn serve(&self, folder: &Path) -> Result<()> {
        let lab = self.place.lab;
        let mut dnsmasq = lab.exec("ctl", "dnsmasq");
        dnsmasq
            .arg("--keep-in-foreground")
            .arg(format!("--conf-file={}", folder.join("dnsmasq.conf").display()));
        let mut nginx = lab.exec("ctl", "nginx");
        nginx.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
        for (name, command) in [("dnsmasq", dnsmasq), ("nginx", nginx)] {
            lab.spawn(name, &command)?;
        }
        poll::until(Duration::from_secs(20), "dnsmasq and nginx to listen", || {
            let sockets = ns::run_for_text(lab.exec("ctl", "ss").args(["-H", "-n", "-l", "-u", "-t"]))?;
            ensure!(sockets.contains(":67 ") && sockets.contains(":5248 "), "{}", sockets.trim());
            Ok(Some(()))
        })
    }

    /// Power-on to the agent's hello.
    pub fn boot(&self, name: &str) -> Result<Boot> {
        let machine = self.place.lab.machine(name)?;
        self.place.renew(&machine)?;
        let capture = Capture::start(self.place.lab, self.place.mac(&machine)?)?;
        self.place.power_on(&machine)?;
        let on = written_at(&machine.power_record())?;
        let stages = self.place.until("the agent's hello", || hello(&capture, on, &self.files))?;
        machine.stop()?;
        Ok(Boot { stages, deploy: None })
    }
}

/// The stages, once the last of them that both servers have is there.
pub fn hello(capture: &Capture, on: f64, files: &Files) -> Result<Option<Times>> {
    let seen = times(&capture.seen()?, on, files);
    ensure!(seen.contains_key(&Stage::Hello), "{seen:?}");
    Ok(Some(seen))
}

/// Paths of the environment's files, as Rackwright's racks serve them.
pub fn files(ephemeral: &Path) -> Result<Files> {
    let file = ephemeral.join("manifest.json");
    let text = fs::read(&file).with_context(|| file.display().to_string())?;
    let manifest: Value = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
    let path = |name: &str| {
        let mut files = manifest["files"].as_array().into_iter().flatten();
        let found = files.find(|file| file["name"] == name).and_then(|file| file["sha256"].as_str());
        found.map(|sha256| format!("/blob/{sha256}")).with_context(|| format!("{name} in {}", file.display()))
    };
    Ok(Files { kernel: path("vmlinuz")?, initrd: path("initrd")? })
}

fn copy(from: &Path, to: &PathBuf) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file in no folder")?)?;
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}

fn script(files: &Files) -> String {
    let address = "10.77.0.1:5248";
    format!(
        "#!ipxe\n\
         kernel http://{address}{} initrd=initrd BOOTIF=01-${{net0/mac:hexhyp}} rackwright.racks={address} \
         rackwright.token=floor {KERNEL_ARGUMENTS}\n\
         initrd --name initrd http://{address}{}\n\
         boot\n",
        files.kernel, files.initrd
    )
}

/// No wait for other DHCP servers (option 175.176), no conflict probe, an answer to router solicitations.
fn dnsmasq(folder: &Path) -> String {
    format!(
        "port=0\nuser=root\nlog-facility=-\ninterface=eth1\nbind-interfaces\nno-ping\nno-resolv\nno-hosts\ndhcp-authoritative\n\
         dhcp-range=10.77.0.50,10.77.0.150,255.255.255.0,10m\n\
         dhcp-leasefile={folder}/leases\npid-file={folder}/dnsmasq.pid\n\
         enable-tftp\ntftp-root={folder}/tftp\n\
         dhcp-userclass=set:ipxe,iPXE\n\
         dhcp-match=set:bios,option:client-arch,0\ndhcp-match=set:efi,option:client-arch,7\n\
         dhcp-boot=tag:ipxe,http://10.77.0.1:5248/boot/ipxe\n\
         dhcp-boot=tag:bios,tag:!ipxe,undionly.kpxe\ndhcp-boot=tag:efi,tag:!ipxe,snponly.efi\n\
         dhcp-option=tag:ipxe,encap:175,176,1b\n\
         enable-ra\ndhcp-range=::,constructor:eth1,ra-only\n",
        folder = folder.display()
    )
}

fn nginx(folder: &Path) -> String {
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {folder}/nginx-{kind};\n"))
        .concat();
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\n\
         events {{}}\n\
         http {{\n    sendfile on;\n    tcp_nopush on;\n    keepalive_timeout 60;\n{temporary}    \
         log_format timed '$msec $request_time $status $body_bytes_sent $remote_addr \"$request\"';\n    \
         access_log {folder}/access.log timed;\n    \
         server {{\n        listen 10.77.0.1:5248;\n        root {folder}/www;\n        \
         location /agent/ {{ return 404; }}\n    }}\n}}\n"
    )
}
