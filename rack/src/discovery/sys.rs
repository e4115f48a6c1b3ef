//! The one call to the kernel here that has no safe wrapper.
#![expect(unsafe_code, reason = "setsockopt takes a pointer to a C structure")]

use std::io;
use std::os::fd::AsRawFd;

/// Has an interface deliver all multicast to this packet socket, as long as it is open: LLDP, multicast DNS and
/// neighbour solicitations go to groups that the box is not in.
pub(super) fn hear_all_multicast(socket: &impl AsRawFd, index: u32) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid packet_mreq.
    let mut request: libc::packet_mreq = unsafe { std::mem::zeroed() };
    request.mr_ifindex = index as libc::c_int;
    request.mr_type = libc::PACKET_MR_ALLMULTI as libc::c_ushort;
    let size = size_of::<libc::packet_mreq>() as libc::socklen_t;
    // SAFETY: the option reads one packet_mreq of the given size, which is a live local.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            size,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
