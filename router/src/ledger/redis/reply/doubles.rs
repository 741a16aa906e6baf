//! Numbers as scripts pack them: doubles, least byte first, one after another.

use std::vec::IntoIter;

use super::{LedgerError, nonsense};

/// Whole numbers are exact as doubles up to here; no script counts further.
pub(super) const MOST: u64 = 1 << 53;

/// Packed doubles, read from left to right.
pub(super) struct Doubles(IntoIter<f64>);

impl Doubles {
    /// Those of a text that has nothing else in it.
    pub(super) fn read(bytes: &[u8]) -> Result<Doubles, LedgerError> {
        let (doubles, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(nonsense("packed numbers"));
        }
        let doubles: Vec<f64> = doubles.iter().map(|double| f64::from_le_bytes(*double)).collect();
        Ok(Doubles(doubles.into_iter()))
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// Any number; what is none, or endless, comes of no script.
    pub(super) fn next(&mut self) -> Result<f64, LedgerError> {
        let number = self.0.next().ok_or_else(|| nonsense("too few numbers"))?;
        if number.is_finite() { Ok(number) } else { Err(nonsense(&number.to_string())) }
    }

    /// A count or an instant: never negative, and exact.
    pub(super) fn whole(&mut self) -> Result<u64, LedgerError> {
        let number = self.next()?;
        if (0.0..=MOST as f64).contains(&number) && number.fract() == 0.0 {
            Ok(number as u64)
        } else {
            Err(nonsense(&number.to_string()))
        }
    }

    /// Yes or no.
    pub(super) fn flag(&mut self) -> Result<bool, LedgerError> {
        Ok(self.next()? != 0.0)
    }

    /// A number of slots, tickets or routers.
    pub(super) fn count(&mut self) -> Result<u32, LedgerError> {
        let whole = self.whole()?;
        u32::try_from(whole).map_err(|_| nonsense(&whole.to_string()))
    }
}
