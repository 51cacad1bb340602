//! Training: `fit`, `evaluate`, the step between them, and what they tell.

mod backup;
mod class_weight;
mod counters;
pub(crate) mod epoch;
mod evaluate;
mod feed;
mod fit;
mod history;
mod on_batch;
mod pairs;
pub(crate) mod progress;
mod step;

pub use evaluate::Evaluate;
pub use feed::{Batch, BatchSource, batches};
pub use fit::Fit;
pub use history::{History, Logs};
pub use on_batch::OnBatch;

pub(crate) use counters::{Counters, log_names};
