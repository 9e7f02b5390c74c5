//! Quartiles of a sample.

use std::fmt;

use serde::Serialize;

/// The first quartile, the median and the third quartile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quartiles {
    /// A quarter of all are below.
    pub first: f64,
    /// Half of all are below.
    pub median: f64,
    /// Three quarters of all are below.
    pub third: f64,
}

impl Quartiles {
    /// The quartiles of these values; NaN if there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            values
                .get((values.len().saturating_sub(1) as f64 * part).round() as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        Self { first: at(0.25), median: at(0.5), third: at(0.75) }
    }
}

/// Written as median, first and third quartile: `0.83 (0.70–0.87)`.
impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.first, self.third)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_five() {
        let quartiles = Quartiles::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(quartiles, Quartiles { first: 2.0, median: 3.0, third: 4.0 });
        assert_eq!(quartiles.to_string(), "3.00 (2.00–4.00)");
        assert!(Quartiles::of([]).median.is_nan());
    }
}
