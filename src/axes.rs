use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// One axis or several, as Keras counts them: 0 is the batch's, or a weight's first; -1 is the last.
///
/// `-1`, `[1, 2]` and a `Vec` become one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Axes {
    /// One axis.
    One(i64),
    /// Several axes, in order.
    Several(Vec<i64>),
}

impl From<i64> for Axes {
    fn from(axis: i64) -> Self {
        Self::One(axis)
    }
}

impl<const N: usize> From<[i64; N]> for Axes {
    fn from(axes: [i64; N]) -> Self {
        Self::Several(axes.to_vec())
    }
}

impl From<Vec<i64>> for Axes {
    fn from(axes: Vec<i64>) -> Self {
        Self::Several(axes)
    }
}

impl std::fmt::Display for Axes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(axis) => write!(out, "{axis}"),
            Self::Several(axes) => write!(out, "{axes:?}"),
        }
    }
}

impl Axes {
    /// The indices of the axes in a tensor of `rank`, in ascending order.
    ///
    /// # Errors
    /// When one is outside the rank, comes twice, or there is none.
    pub(crate) fn resolve(&self, rank: usize) -> Result<Vec<usize>> {
        let axes = match self {
            Self::One(axis) => std::slice::from_ref(axis),
            Self::Several(axes) => axes,
        };
        let mut indices = Vec::with_capacity(axes.len());
        for axis in axes {
            indices.push(resolve(*axis, rank)?);
        }
        indices.sort_unstable();
        if indices.is_empty() || indices.windows(2).any(|pair| pair[0] == pair[1]) {
            let advice = "name every axis once";
            let got = format!("{axes:?}");
            return Err(Error::argument("axis", "different axes", got, advice));
        }
        Ok(indices)
    }
}

/// The index of an axis in a tensor of `rank`.
fn resolve(axis: i64, rank: usize) -> Result<usize> {
    let index = if axis < 0 { axis + rank as i64 } else { axis };
    if (0..rank as i64).contains(&index) {
        return Ok(index as usize);
    }
    Err(Error::argument(
        "axis",
        format!("an axis of {rank}: -{rank} to {}", rank as i64 - 1),
        axis,
        "-1 is the last one; the batch's is 0",
    ))
}
