//! Where randomness comes from. Tests own it; the gateway asks the system.

/// A source of random numbers for delays and for the gateway's own identifiers.
pub trait Chance: Send + Sync {
    /// 64 random bits.
    fn bits(&self) -> u64;

    /// A number evenly spread over `[0, 1)`.
    fn unit(&self) -> f64 {
        const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.bits() >> 11) as f64 * SCALE
    }
}

/// The system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    /// Where the system has none, the middle of the range: the delays lose their spread, nothing else breaks.
    fn bits(&self) -> u64 {
        getrandom::u64().unwrap_or(1 << 63)
    }
}

#[cfg(test)]
pub(crate) mod fixed {
    //! Chance that a test decides.

    /// Always the same fraction of the range.
    pub(crate) struct Fraction(pub(crate) f64);

    impl super::Chance for Fraction {
        fn bits(&self) -> u64 {
            (self.0 * (1_u64 << 53) as f64) as u64 * 2048
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chance, SystemChance, fixed::Fraction};

    #[test]
    fn a_fraction_is_what_it_says_and_the_system_stays_in_the_range() {
        assert_eq!(Fraction(0.5).unit(), 0.5);
        assert_eq!(Fraction(0.0).unit(), 0.0);
        for _ in 0..1000 {
            let unit = SystemChance.unit();
            assert!((0.0..1.0).contains(&unit), "{unit}");
        }
    }
}
