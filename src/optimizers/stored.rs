//! What an optimizer keeps, in the order of Keras's files.

use super::{Optimization, optimization::Kept};
use crate::{Result, weights::Weight};
use candle_core::Var;

/// A variable of Keras's optimizer, after the iteration and the learning rate.
#[derive(Debug)]
pub(crate) enum Stored<'a> {
    /// What is kept of a weight.
    Kept(&'a Var),
    /// A number that follows from how many updates there were, and that Keras keeps all the same.
    Number(f64),
}

impl Optimization {
    /// What is kept of the weights that are trained: first all averages, then all sums of gradients,
    /// then the slots.
    pub(crate) fn stored<'a>(
        &'a self,
        weights: impl IntoIterator<Item = &'a Weight>,
    ) -> Vec<Stored<'a>> {
        let both = weights.into_iter().zip(&self.kept);
        let trained = both.filter(|(weight, _)| weight.trainable());
        let kept: Vec<&Kept> = trained.filter_map(|(_, kept)| kept.as_ref()).collect();
        let averages = kept.iter().filter_map(|kept| kept.average.as_ref());
        let gradients = kept.iter().filter_map(|kept| kept.gradients.as_ref());
        let together = self.rule.slots_side_by_side();
        let side_by_side = kept
            .iter()
            .flat_map(|kept| kept.slots.iter().take(together));
        let most = kept.iter().map(|kept| kept.slots.len()).max();
        let others = together..most.unwrap_or_default();
        let one_by_one = others.flat_map(|slot| kept.iter().filter_map(move |k| k.slots.get(slot)));
        let variables = averages
            .chain(gradients)
            .chain(side_by_side)
            .chain(one_by_one);
        let number = self.rule.kept_number(self.updates());
        let numbers = number.map(Stored::Number);
        variables.map(Stored::Kept).chain(numbers).collect()
    }

    /// What is kept of weights that are not trained at the moment, by the weight's place. Keras reads
    /// none of it, and the training may go on with them.
    pub(crate) fn resting<'a>(
        &'a self,
        weights: impl IntoIterator<Item = &'a Weight>,
    ) -> impl Iterator<Item = (usize, Vec<&'a Var>)> {
        let both = weights.into_iter().zip(&self.kept).enumerate();
        both.filter(|(_, (weight, _))| !weight.trainable())
            .filter_map(|(index, (_, kept))| Some((index, kept.as_ref()?.variables().collect())))
    }

    /// Makes what is kept of one weight that is not trained at the moment; none where this optimizer
    /// keeps tensors of other shapes.
    pub(crate) fn rest(
        &mut self,
        index: usize,
        weight: &Weight,
        shapes: &[&[usize]],
    ) -> Result<Option<Vec<&Var>>> {
        let kept = Kept::new(&*self.rule, weight)?;
        if !kept
            .variables()
            .map(|variable| variable.dims())
            .eq(shapes.iter().copied())
        {
            return Ok(None);
        }
        if self.kept.len() <= index {
            self.kept.resize_with(index + 1, || None);
        }
        Ok(Some(self.kept[index].insert(kept).variables().collect()))
    }
}
