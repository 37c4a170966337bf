//! Prices in euros, exactly.

use std::fmt;

use serde::{Serialize, Serializer};

/// 0.908 of a price, as a `DECIMAL(23, 3)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Euros {
    thousandths: u64,
}

impl Euros {
    pub(crate) const fn from_dollars(price: u64) -> Self {
        Self { thousandths: price * 908 }
    }

    /// A whole number of them.
    pub(crate) const fn whole(euros: u64) -> Self {
        Self { thousandths: euros * 1000 }
    }
}

impl fmt::Display for Euros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.thousandths / 1000, self.thousandths % 1000)
    }
}

impl Serialize for Euros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
