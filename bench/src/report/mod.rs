//! What was measured: for people, for other programs, as a plot.

pub mod markdown;
mod outcome;
mod quartiles;
pub mod svg;
pub mod text;

pub use outcome::{Column, Memory, Outcome, Ratios, Report, Verdict};
pub use quartiles::Quartiles;
