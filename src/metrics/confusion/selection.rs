use super::{Confusion, Counts, Ladder, Summary, Thresholds, View};
use crate::{Result, metrics::check_at_least_one};
use serde::{Deserialize, Serialize};

/// What Keras compares with outputs in place of a threshold where only the k greatest of a row
/// say yes: the others are set to it.
const BELOW_ALL: f64 = -1e10;

/// Which outputs count as yes, and of which class.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Selection {
    pub(super) thresholds: Option<Thresholds>,
    pub(super) top_k: Option<usize>,
    pub(super) class_id: Option<usize>,
}

/// The setters of [`Selection`] on a metric with a field `selection`.
macro_rules! selection_setters {
    () => {
        /// What an output must exceed to say yes, one number or several, from 0 to 1. By default
        /// 0.5; with [`top_k`](Self::top_k) none.
        pub fn thresholds(mut self, thresholds: impl Into<crate::metrics::Thresholds>) -> Self {
            self.selection.thresholds = Some(thresholds.into());
            self
        }

        /// Only the k greatest outputs of a row can say yes; of equal ones the first.
        pub fn top_k(mut self, top_k: usize) -> Self {
            self.selection.top_k = Some(top_k);
            self
        }

        /// Counts the outputs of one class alone.
        pub fn class_id(mut self, class_id: usize) -> Self {
            self.selection.class_id = Some(class_id);
            self
        }
    };
}
pub(super) use selection_setters;

impl Selection {
    /// Counts of what is selected, and the share `of` them at every threshold.
    pub(super) fn confusion(&self, of: fn(&Counts) -> Vec<f64>) -> Confusion<AtThresholds> {
        let ladder = match (&self.thresholds, self.top_k) {
            (Some(thresholds), _) => Ladder::new(thresholds.as_slice()),
            (None, None) => Ladder::new(&[0.5]),
            (None, Some(_)) => Ladder::new(&[BELOW_ALL]),
        };
        let view = View {
            top_k: self.top_k,
            class_id: self.class_id,
            ..View::default()
        };
        let summary = AtThresholds {
            ladder: ladder.clone(),
            of,
        };
        Confusion::new(ladder, view, summary)
    }

    /// An error for an argument out of range.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(thresholds) = &self.thresholds {
            thresholds.check()?;
        }
        self.top_k
            .map_or(Ok(()), |k| check_at_least_one("top_k", k))
    }
}

/// A number for each threshold, in the order in which they were given.
#[derive(Debug)]
pub(super) struct AtThresholds {
    ladder: Ladder,
    /// The numbers at ascending thresholds.
    of: fn(&Counts) -> Vec<f64>,
}

impl Summary for AtThresholds {
    fn values(&self, counts: &[Counts]) -> Vec<f64> {
        let ascending = counts.first().map(self.of).unwrap_or_default();
        self.ladder.in_given_order(&ascending)
    }
}
