//! A page inside a namespace is reached on the loopback of the host.

use rackwright_lab::{Lab, LabPlan, forward, poll};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[test]
fn bytes_pass_both_ways() {
    let lab = Lab::temporary("labfwd", LabPlan::with_machines(Vec::new())).unwrap();
    let target: SocketAddr = "10.77.0.1:5240".parse().unwrap();
    let mut echo = lab.exec("ctl", "socat");
    echo.args(["TCP-LISTEN:5240,bind=10.77.0.1,fork,reuseaddr", "EXEC:cat"]);
    lab.spawn("echo", &echo).unwrap();
    poll::until(Duration::from_secs(10), "socat", || Ok(Some(forward::connect("labfwd-ctl", target)?)))
        .unwrap();

    let address = forward::spawn(0, "labfwd-ctl", target).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"there and back").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "there and back");
}
