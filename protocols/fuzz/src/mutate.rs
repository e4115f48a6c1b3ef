//! Bytes made from bytes: what breaks decoders is a wrong length, a cut, a repetition, a value at an edge.

/// A small generator with a fixed start: a run repeats.
pub struct Random(u64);

impl Random {
    /// Of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 1).unwrap_or(usize::MAX) % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    /// Another input from this one, and from a second one to take pieces of. At most `LONGEST` bytes.
    pub fn mutate(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(5) {
            self.change(&mut bytes, other);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        const EDGES: [u8; 10] = [0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
        let at = self.below(bytes.len());
        match self.below(10) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = EDGES[self.below(EDGES.len())],
            2 if !bytes.is_empty() => {
                bytes[at] = bytes[at].wrapping_add(if self.below(2) == 0 { 1 } else { 255 })
            }
            3 if bytes.len() > 1 => {
                // A length of two bytes.
                let at = self.below(bytes.len() - 1);
                bytes[at] = EDGES[self.below(EDGES.len())];
                bytes[at + 1] = EDGES[self.below(EDGES.len())];
            }
            4 => bytes.truncate(at),
            5 => {
                let piece: Vec<u8> = (0..self.below(12)).map(|_| self.byte()).collect();
                bytes.splice(at..at, piece);
            }
            6 if !bytes.is_empty() => {
                let end = (at + 1 + self.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            7 if !bytes.is_empty() => {
                let end = (at + 1 + self.below(64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                for _ in 0..=self.below(8) {
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
            8 if !other.is_empty() => {
                let from = self.below(other.len());
                let to = (from + 1 + self.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let value = self.byte();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                } else {
                    bytes.push(value);
                }
            }
        }
    }
}

/// Longer than what comes in one datagram helps nobody to break in.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_repeats_and_stays_short() {
        let run = |seed| {
            let mut random = Random::new(seed);
            let mut bytes = b"some seed".to_vec();
            for _ in 0..2000 {
                bytes = random.mutate(&bytes, b"another one");
                assert!(bytes.len() <= LONGEST);
            }
            bytes
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
