//! The kernel's filter for a packet socket that is to hear exactly what [`crate::read`] understands, so that the images
//! which a rack serves on the same interface are not copied to it.
//!
//! Classic BPF. What carried a VLAN tag is not of this interface but of one above it, and is left out: the kernel has
//! taken the tag off and says so beside the packet.

/// One instruction: code, jump if true, jump if false, constant.
pub type Instruction = (u16, u8, u8, u32);

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_AT_X: u16 = 0x48;
const X_IS_HEADER_LENGTH: u16 = 0xb1;
const IF_EQUAL: u16 = 0x15;
const IF_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;
/// `SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT`.
const TAGGED: u32 = 0xffff_f030;

/// The program. Jumps count from the next instruction; 22 takes the packet, 23 drops it.
pub const PROGRAM: [Instruction; 24] = [
    (LOAD_WORD, 0, 0, TAGGED),
    (IF_EQUAL, 0, 21, 0),
    (LOAD_HALF, 0, 0, 12),
    (IF_EQUAL, 18, 0, 0x0806),
    (IF_EQUAL, 17, 0, 0x88cc),
    (IF_EQUAL, 1, 0, 0x0800),
    (IF_EQUAL, 7, 16, 0x86dd),
    // 7: IPv4; UDP, first fragment, to port 5353.
    (LOAD_BYTE, 0, 0, 23),
    (IF_EQUAL, 0, 14, 17),
    (LOAD_HALF, 0, 0, 20),
    (IF_BITS, 12, 0, 0x1fff),
    (X_IS_HEADER_LENGTH, 0, 0, 14),
    (LOAD_HALF_AT_X, 0, 0, 16),
    (IF_EQUAL, 8, 9, 5353),
    // 14: IPv6; ICMPv6 or UDP directly after the header.
    (LOAD_BYTE, 0, 0, 20),
    (IF_EQUAL, 3, 0, 58),
    (IF_EQUAL, 0, 6, 17),
    (LOAD_HALF, 0, 0, 56),
    (IF_EQUAL, 3, 4, 5353),
    // 19: neighbour solicitation or advertisement.
    (LOAD_BYTE, 0, 0, 54),
    (IF_EQUAL, 1, 0, 135),
    (IF_EQUAL, 0, 1, 136),
    (RETURN, 0, 0, 4096),
    (RETURN, 0, 0, 0),
];
