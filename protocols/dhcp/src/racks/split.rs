//! Who answers first (RFC 3074): each client has one of 256 buckets, each bucket one of the live racks.
//!
//! Only a DISCOVER is split; a client that names or remembers an address is answered by every rack that can. The
//! hash is over the hardware address also when there is an option 61, as firmware, iPXE and the installed system of one
//! machine send different ones and one rack should serve them all.

use std::collections::HashMap;

use crate::mac::ClientKey;
use crate::packet::Packet;

/// A rack's number in the region.
pub type RackId = i64;

/// A client that has tried for so long is answered by every rack, seconds.
const STEP_IN_SECONDS: u16 = 3;
/// Clients remembered; more, and all are forgotten, which costs each one repeat.
const REMEMBERED: usize = 8192;

/// The mixing table of RFC 3074 §6.
const MIX: [u8; 256] = [
    251, 175, 119, 215, 81, 14, 79, 191, 103, 49, 181, 143, 186, 157, 0, 232, 31, 32, 55, 60, 152, 58, 17,
    237, 174, 70, 160, 144, 220, 90, 57, 223, 59, 3, 18, 140, 111, 166, 203, 196, 134, 243, 124, 95, 222,
    179, 197, 65, 180, 48, 36, 15, 107, 46, 233, 130, 165, 30, 123, 161, 209, 23, 97, 16, 40, 91, 219, 61,
    100, 10, 210, 109, 250, 127, 22, 138, 29, 108, 244, 67, 207, 9, 178, 204, 74, 98, 126, 249, 167, 116, 34,
    77, 193, 200, 121, 5, 20, 113, 71, 35, 128, 13, 182, 94, 25, 226, 227, 199, 75, 27, 41, 245, 230, 224,
    43, 225, 177, 26, 155, 150, 212, 142, 218, 115, 241, 73, 88, 105, 39, 114, 62, 255, 192, 201, 145, 214,
    168, 158, 221, 148, 154, 122, 12, 84, 82, 163, 44, 139, 228, 236, 205, 242, 217, 11, 187, 146, 159, 64,
    86, 239, 195, 42, 106, 198, 118, 112, 184, 172, 87, 2, 173, 117, 176, 229, 247, 253, 137, 185, 99, 164,
    102, 147, 45, 66, 231, 52, 141, 211, 194, 206, 246, 238, 56, 110, 78, 248, 63, 240, 189, 93, 92, 51, 53,
    183, 19, 171, 72, 50, 33, 104, 101, 69, 8, 252, 83, 120, 76, 135, 85, 54, 202, 125, 188, 213, 96, 235,
    136, 208, 162, 129, 190, 132, 156, 38, 47, 1, 7, 254, 24, 4, 216, 131, 89, 21, 28, 133, 37, 153, 149, 80,
    170, 68, 6, 169, 234, 151,
];

/// The hash of RFC 3074 §6: Pearson's, from the last byte to the first, beginning with the length.
pub(crate) fn bucket(key: &[u8]) -> u8 {
    key.iter().rev().fold(key.len() as u8, |hash, byte| MIX[usize::from(hash ^ byte)])
}

/// The rack that answers the client first; `None` when there are no racks. `live` is in ascending order, so that all
/// racks that see the same ones alive agree.
pub fn responsible(client: &ClientKey, live: &[RackId]) -> Option<RackId> {
    // The first byte of a key is the hardware type, which RFC 3074 leaves out.
    let bucket = usize::from(bucket(client.as_bytes().get(1..)?));
    live.get(bucket.checked_rem(live.len())?).copied()
}

/// One rack's part of the clients.
#[derive(Debug, Clone)]
pub struct Split {
    own: RackId,
    live: Vec<RackId>,
    /// The transaction that each client was last left to another rack in.
    seen: HashMap<ClientKey, u32>,
}

impl Split {
    /// Rack `own`, alone.
    pub fn new(own: RackId) -> Split {
        Split { own, live: vec![own], seen: HashMap::new() }
    }

    /// Says which racks of the link are alive. This one always counts as alive.
    pub fn set_live(&mut self, racks: impl IntoIterator<Item = RackId>) {
        self.live = racks.into_iter().chain([self.own]).collect();
        self.live.sort_unstable();
        self.live.dedup();
    }

    /// Whether this rack answers a DISCOVER: the client is its, or tries again, or has tried for some seconds.
    pub fn answers(&mut self, discover: &Packet) -> bool {
        let Some(client) = discover.client_key() else { return true };
        if discover.secs >= STEP_IN_SECONDS || responsible(&client, &self.live) == Some(self.own) {
            return true;
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        self.seen.insert(client, discover.xid) == Some(discover.xid)
    }
}
