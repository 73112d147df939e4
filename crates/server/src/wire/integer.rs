//! Integers that keep their digits in any reader.

use serde::{Serialize, Serializer};

/// The largest integer a double holds without a neighbour in between.
const MAX_EXACT: u128 = (1 << 53) - 1;

/// A JSON number up to 2^53 - 1 in size, a string of digits beyond: what reads JSON numbers as doubles loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Integer(pub i128);

impl std::fmt::Display for Integer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for Integer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(small) if self.0.unsigned_abs() <= MAX_EXACT => serializer.serialize_i64(small),
            _ => serializer.collect_str(&self.0),
        }
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {
        $(impl From<$integer> for Integer {
            fn from(value: $integer) -> Self {
                Self(i128::from(value))
            }
        })*
    };
}

from_integers!(u32 i32 u64 i64);
