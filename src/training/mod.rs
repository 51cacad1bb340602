//! Training: `fit`, `evaluate`, the step between them, and what they tell.

mod counters;
mod evaluate;
mod fit;
mod history;
mod pairs;
pub(crate) mod progress;
mod step;

pub use evaluate::Evaluate;
pub use fit::Fit;
pub use history::{History, Logs};

pub(crate) use counters::Counters;
