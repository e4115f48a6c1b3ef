//! Hearing a switch on a virtual cable, in a network namespace of the test's own. Needs root, iproute2 and python3.

use nix::sched::{CloneFlags, unshare};
use rackwright_agent::inventory::lldp::Listener;
use std::process::Command;

const SEND: &str = "import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('rwagent1', 0))
t = lambda k, v: bytes([k << 1, len(v)]) + v
pdu = t(1, b'\\x04\\x02\\0\\0\\0\\0\\x01') + t(2, b'\\x07swp7') + t(3, b'\\0\\x78') + t(5, b'leaf-1') + t(127, b'\\0\\x80\\xc2\\x01\\0\\x2a') + b'\\0\\0'
s.send(b'\\x01\\x80\\xc2\\0\\0\\x0e' + b'\\x02\\0\\0\\0\\0\\x01' + b'\\x88\\xcc' + pdu)
";

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

#[test]
fn a_neighbour_is_heard_within_the_three_seconds() {
    // Only this thread, and those it starts, live in the new namespace; it ends with them.
    unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
    let cable = ["link", "add", "rwagent0", "type", "veth", "peer", "name", "rwagent1"];
    assert!(run("ip", &cable), "iproute2 is installed");
    for end in ["rwagent0", "rwagent1"] {
        assert!(run("ip", &["link", "set", end, "up"]));
    }
    let interfaces = ["rwagent0".to_owned()];
    let listener = Listener::start(&interfaces);
    assert!(run("python3", &["-c", SEND]));
    let heard = listener.neighbours(&interfaces);
    let neighbour = heard.get("rwagent0").expect("the neighbour's frame arrives");
    assert_eq!(neighbour.chassis, "02:00:00:00:00:01");
    assert_eq!((neighbour.port.as_str(), neighbour.system.as_deref()), ("swp7", Some("leaf-1")));
    assert_eq!(neighbour.vlan, Some(42));
}
