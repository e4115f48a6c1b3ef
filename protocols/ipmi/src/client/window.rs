//! Which session sequence numbers are new (§6.12.13).

/// How far back a late packet may be.
const BACK: u32 = 32;

/// Remembers the numbers seen, so that a repeated or replayed packet is noticed.
#[derive(Debug, Clone, Default)]
pub struct SequenceWindow {
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl SequenceWindow {
    /// Whether `sequence` is new; it is remembered. Only called for packets whose code was right, so a jump forward is
    /// the sender's own and is followed whatever its width.
    pub fn accept(&mut self, sequence: u32) -> bool {
        if sequence == 0 {
            return false;
        }
        let ahead = sequence.wrapping_sub(self.highest);
        if ahead != 0 && ahead < u32::MAX / 2 {
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = sequence;
            return true;
        }
        let behind = self.highest.wrapping_sub(sequence);
        if behind >= BACK || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_passes_once_in_any_order_within_the_window() {
        let mut window = SequenceWindow::default();
        for (sequence, new) in
            [(1, true), (1, false), (3, true), (2, true), (2, false), (100, true), (60, false), (0, false)]
        {
            assert_eq!(window.accept(sequence), new, "{sequence}");
        }
        assert!(window.accept(u32::MAX / 2));
        assert!(window.accept(u32::MAX - 10));
        assert!(window.accept(5), "wraps");
    }
}
