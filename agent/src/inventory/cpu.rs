//! Processors, NUMA nodes and memory from `/proc` and `/sys/devices/system`.

use super::smbios::Smbios;
use super::{names, number, text};
use rackwright_common::inventory::{CpuInfo, NumaNode};
use std::collections::BTreeSet;
use std::path::Path;

/// All processors.
pub fn read(root: &Path, smbios: &Smbios) -> CpuInfo {
    let cpuinfo = text(&root.join("proc/cpuinfo")).unwrap_or_default();
    let field = |names: &[&str]| {
        cpuinfo.lines().filter_map(|line| line.split_once(':')).find_map(|(key, value)| {
            names.contains(&key.trim()).then(|| value.trim().to_owned()).filter(|value| !value.is_empty())
        })
    };
    let (sockets, cores, mut threads) = topology(root);
    if threads == 0 {
        let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
        threads = u32::try_from(processors).unwrap_or(u32::MAX);
    }
    let frequency: Option<u32> = number(&root.join("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"));
    let current = || Some(field(&["cpu MHz"])?.parse::<f64>().ok()? as u32);
    CpuInfo {
        architecture: std::env::consts::ARCH.to_owned(),
        model: field(&["model name", "Model", "cpu model"]).or_else(|| smbios.cpu_model.clone()),
        sockets: sockets.max(u32::from(threads > 0)),
        cores: if cores == 0 { threads } else { cores },
        threads,
        max_mhz: frequency.map(|khz| khz / 1000).or(smbios.cpu_max_mhz).or_else(current),
        virtualization: has_flag(&cpuinfo, &["vmx", "svm"]),
    }
}

/// Sockets, cores and threads that are there, by what the kernel says of each thread.
fn topology(root: &Path) -> (u32, u32, u32) {
    let folder = root.join("sys/devices/system/cpu");
    let mut sockets = BTreeSet::new();
    let mut cores = BTreeSet::new();
    let mut threads = 0;
    for name in names(&folder) {
        let is_cpu =
            name.strip_prefix("cpu").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let topology = folder.join(&name).join("topology");
        if !is_cpu || !topology.is_dir() {
            continue;
        }
        threads += 1;
        // A virtual machine may say -1, which then is one socket.
        let socket: i64 = number(&topology.join("physical_package_id")).unwrap_or(0);
        let die: i64 = number(&topology.join("die_id")).unwrap_or(0);
        let core: i64 = number(&topology.join("core_id")).unwrap_or(i64::from(threads));
        sockets.insert(socket);
        cores.insert((socket, die, core));
    }
    (sockets.len() as u32, cores.len() as u32, threads)
}

/// Whether the processor says that it runs under a hypervisor.
pub fn has_hypervisor(root: &Path) -> bool {
    has_flag(&text(&root.join("proc/cpuinfo")).unwrap_or_default(), &["hypervisor"])
}

fn has_flag(cpuinfo: &str, wanted: &[&str]) -> bool {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| matches!(key.trim(), "flags" | "Features"))
        .is_some_and(|(_, flags)| flags.split_ascii_whitespace().any(|flag| wanted.contains(&flag)))
}

/// Memory usable by the kernel, MiB.
pub fn memory_mib(root: &Path) -> u64 {
    meminfo(&text(&root.join("proc/meminfo")).unwrap_or_default())
}

/// `MemTotal` of `/proc/meminfo` or of a node's `meminfo` (which begins its lines with `Node 0`), MiB.
fn meminfo(text: &str) -> u64 {
    let line = text.lines().find(|line| line.contains("MemTotal:"));
    let kib = line
        .and_then(|line| line.split_ascii_whitespace().rev().nth(1))
        .and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// NUMA nodes by number.
pub fn numa_nodes(root: &Path) -> Vec<NumaNode> {
    let folder = root.join("sys/devices/system/node");
    let mut nodes: Vec<NumaNode> = names(&folder)
        .iter()
        .filter_map(|name| {
            let node = name.strip_prefix("node")?.parse().ok()?;
            let path = folder.join(name);
            let memory_mib = meminfo(&text(&path.join("meminfo")).unwrap_or_default());
            Some(NumaNode { node, cpus: text(&path.join("cpulist")).unwrap_or_default(), memory_mib })
        })
        .collect();
    nodes.sort_by_key(|node| node.node);
    nodes
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    #[test]
    fn two_sockets_with_two_cores_and_two_threads_each() {
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for cpu in 0..8_u8 {
            let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
            files.push((format!("{folder}/physical_package_id"), format!("{}\n", cpu / 4).into_bytes()));
            files.push((format!("{folder}/core_id"), format!("{}\n", cpu / 2 % 2).into_bytes()));
        }
        files.push(("sys/devices/system/cpu/cpufreq/policy0".into(), Vec::new()));
        files.push(("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq".into(), b"3500000\n".to_vec()));
        files.push((
            "proc/cpuinfo".into(),
            b"processor\t: 0\nmodel name\t: Imaginary 9000\nflags\t\t: fpu svm sse\n".to_vec(),
        ));
        let files: Vec<(&str, &[u8])> = files.iter().map(|(p, c)| (p.as_str(), c.as_slice())).collect();
        let info = read(machine(&files).path(), &Smbios::default());
        assert_eq!((info.sockets, info.cores, info.threads), (2, 4, 8));
        assert_eq!(info.model.as_deref(), Some("Imaginary 9000"));
        assert_eq!(info.max_mhz, Some(3500));
        assert!(info.virtualization);
    }

    #[test]
    fn memory_and_numa_nodes() {
        let root = machine(&[
            ("proc/meminfo", b"MemTotal:        2035480 kB\nMemFree: 1 kB\n"),
            ("sys/devices/system/node/node1/meminfo", b"Node 1 MemTotal:       1048576 kB\n"),
            ("sys/devices/system/node/node1/cpulist", b"2-3\n"),
            ("sys/devices/system/node/node0/meminfo", b"Node 0 MemTotal:       524288 kB\n"),
            ("sys/devices/system/node/node0/cpulist", b"0-1\n"),
            ("sys/devices/system/node/possible", b"0-1\n"),
        ]);
        assert_eq!(memory_mib(root.path()), 1987);
        let nodes = numa_nodes(root.path());
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[1], NumaNode { node: 1, cpus: "2-3".into(), memory_mib: 1024 });
    }
}
