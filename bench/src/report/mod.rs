//! Reports of a comparison: text, JSON, Markdown and SVG.

pub mod markdown;
mod outcome;
mod quartiles;
pub mod svg;
pub mod text;

pub use outcome::{Column, Memory, Outcome, Ratios, Report, Verdict};
pub use quartiles::Quartiles;
