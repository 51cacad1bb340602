//! tour
pub mod data;
pub mod datasets;
mod error;
pub mod seed;

pub use data::Data;
pub use error::{Error, Result};
