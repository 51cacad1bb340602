//! tour
pub mod data;
mod error;
pub mod seed;

pub use data::Data;
pub use error::{Error, Result};
