//! The few calls to the kernel that have no safe wrapper: ioctls of block devices, of the IPMI driver and of network
//! interfaces, and packet sockets. All `unsafe` of the agent is here; each block says why it holds.
#![expect(unsafe_code, reason = "the kernel's interfaces below take pointers to C structures")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const BLKROGET: libc::c_ulong = 0x125e;
const BLKRRPART: libc::c_ulong = 0x125f;
const BLKGETSIZE64: libc::c_ulong = 0x8008_1272;
const BLKDISCARD: libc::c_ulong = 0x1277;
const BLKSECDISCARD: libc::c_ulong = 0x127d;
const BLKZEROOUT: libc::c_ulong = 0x127f;

/// What to do to a range of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeCall {
    /// Say that the content is no longer needed.
    Discard,
    /// As discard, and remove all copies.
    SecureDiscard,
    /// Make it read as zeroes; by the device itself where it can.
    Zero,
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Size of a block device, bytes.
pub fn block_size(device: &File) -> io::Result<u64> {
    let mut size = 0_u64;
    // SAFETY: BLKGETSIZE64 writes one u64 to the pointer, which is a live local.
    check(unsafe { libc::ioctl(device.as_raw_fd(), BLKGETSIZE64, &raw mut size) })?;
    Ok(size)
}

/// Whether the kernel refuses writes to a block device.
pub fn block_read_only(device: &File) -> io::Result<bool> {
    let mut flag: libc::c_int = 0;
    // SAFETY: BLKROGET writes one int to the pointer, which is a live local.
    check(unsafe { libc::ioctl(device.as_raw_fd(), BLKROGET, &raw mut flag) })?;
    Ok(flag != 0)
}

/// Makes the kernel read the partition table again; fails while a partition is in use.
pub fn reread_partitions(device: &File) -> io::Result<()> {
    // SAFETY: BLKRRPART takes no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), BLKRRPART) })
}

/// Discards or zeroes `length` bytes from `start`; both must be multiples of the logical sector.
pub fn block_range(device: &File, call: RangeCall, start: u64, length: u64) -> io::Result<()> {
    let range = [start, length];
    let request = match call {
        RangeCall::Discard => BLKDISCARD,
        RangeCall::SecureDiscard => BLKSECDISCARD,
        RangeCall::Zero => BLKZEROOUT,
    };
    // SAFETY: these requests read two u64 from the pointer, which is a live local array of two.
    check(unsafe { libc::ioctl(device.as_raw_fd(), request, range.as_ptr()) })
}

/// Lowers the priority of a process group.
pub fn lower_priority(group: u32) {
    // SAFETY: setpriority takes numbers only. Its failure means normal priority, which is harmless.
    unsafe { libc::setpriority(libc::PRIO_PGRP, group, 10) };
}

#[repr(C)]
struct IpmiSystemAddress {
    kind: libc::c_int,
    channel: libc::c_short,
    lun: libc::c_uchar,
}

#[repr(C)]
struct IpmiMessage {
    netfn: libc::c_uchar,
    command: libc::c_uchar,
    length: libc::c_ushort,
    data: *mut libc::c_uchar,
}

#[repr(C)]
struct IpmiRequest {
    address: *mut libc::c_uchar,
    address_length: libc::c_uint,
    id: libc::c_long,
    message: IpmiMessage,
}

#[repr(C)]
struct IpmiReceive {
    kind: libc::c_int,
    address: *mut libc::c_uchar,
    address_length: libc::c_uint,
    id: libc::c_long,
    message: IpmiMessage,
}

// _IOR('i', 13, struct ipmi_req) and _IOWR('i', 11, struct ipmi_recv), `linux/ipmi.h`.
const IPMICTL_SEND_COMMAND: libc::c_ulong = 0x8000_690d | ((size_of::<IpmiRequest>() as libc::c_ulong) << 16);
const IPMICTL_RECEIVE_MSG_TRUNC: libc::c_ulong =
    0xc000_690b | ((size_of::<IpmiReceive>() as libc::c_ulong) << 16);

/// Sends one command to the BMC through the kernel's driver.
pub fn ipmi_send(device: &File, id: i64, netfn: u8, command: u8, data: &[u8]) -> io::Result<()> {
    // IPMI_SYSTEM_INTERFACE_ADDR_TYPE and IPMI_BMC_CHANNEL.
    let mut address = IpmiSystemAddress { kind: 0x0c, channel: 0x0f, lun: 0 };
    let mut data = data.to_vec();
    let length = u16::try_from(data.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut request = IpmiRequest {
        address: (&raw mut address).cast(),
        address_length: size_of::<IpmiSystemAddress>() as libc::c_uint,
        id: id as libc::c_long,
        message: IpmiMessage { netfn, command, length, data: data.as_mut_ptr() },
    };
    // SAFETY: the request is laid out as `struct ipmi_req`; its pointers lead to locals that outlive the call, with
    // the lengths given beside them.
    check(unsafe { libc::ioctl(device.as_raw_fd(), IPMICTL_SEND_COMMAND, &raw mut request) })
}

/// Takes one answer from the driver's queue: the id of its command, and the data from the completion code on.
pub fn ipmi_receive(device: &File) -> io::Result<(i64, Vec<u8>)> {
    let mut address = [0_u8; 64];
    let mut data = vec![0_u8; 272];
    let mut answer = IpmiReceive {
        kind: 0,
        address: address.as_mut_ptr(),
        address_length: address.len() as libc::c_uint,
        id: 0,
        message: IpmiMessage { netfn: 0, command: 0, length: data.len() as u16, data: data.as_mut_ptr() },
    };
    // SAFETY: the structure is laid out as `struct ipmi_recv`; the kernel writes at most the lengths given beside the
    // pointers, which lead to live locals.
    check(unsafe { libc::ioctl(device.as_raw_fd(), IPMICTL_RECEIVE_MSG_TRUNC, &raw mut answer) })?;
    data.truncate(usize::from(answer.message.length));
    Ok((answer.id, data))
}

/// The permanent hardware address of an interface, which a driver or a bond does not change.
pub fn permanent_mac(interface: &str) -> Option<[u8; 6]> {
    #[repr(C)]
    struct PermanentAddress {
        command: u32,
        size: u32,
        data: [u8; 32],
    }
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    const ETHTOOL_GPERMADDR: u32 = 0x20;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").ok()?;
    let mut answer = PermanentAddress { command: ETHTOOL_GPERMADDR, size: 32, data: [0; 32] };
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut answer).cast();
    // SAFETY: the name is terminated by zero; the data pointer leads to a live `struct ethtool_perm_addr` whose size
    // field bounds what the kernel writes.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) }).ok()?;
    let mac: [u8; 6] = answer.data.get(..6)?.try_into().ok()?;
    (answer.size == 6 && mac != [0; 6]).then_some(mac)
}

/// A socket that receives every frame of one Ethernet protocol on all interfaces.
pub fn packet_socket(protocol: u16) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes numbers only.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, i32::from(protocol.to_be())) };
    check(fd)?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has an interface deliver frames to this multicast address.
pub fn join_multicast(socket: &OwnedFd, index: u32, group: [u8; 6]) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid packet_mreq.
    let mut request: libc::packet_mreq = unsafe { std::mem::zeroed() };
    request.mr_ifindex = index as libc::c_int;
    request.mr_type = libc::PACKET_MR_MULTICAST as libc::c_ushort;
    request.mr_alen = 6;
    request.mr_address[..6].copy_from_slice(&group);
    let size = size_of::<libc::packet_mreq>() as libc::socklen_t;
    // SAFETY: the option reads one packet_mreq of the given size, which is a live local.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            size,
        )
    })
}

/// Receives one frame: its length and the index of the interface it came by.
pub fn receive_frame(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
    // SAFETY: all-zero bytes are a valid sockaddr_ll.
    let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: buffer and address are live, and their lengths are given beside them.
    let length = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
            (&raw mut from).cast(),
            &raw mut size,
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    Ok((length, from.sll_ifindex as u32))
}
