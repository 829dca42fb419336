//! Repeatable randomness: the same seed gives the same choices.

use std::ops::Range;

/// SplitMix64, as Steele, Lea and Flood describe it.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Everything that follows depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// A number of the range, which must not be empty.
    pub fn pick(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
