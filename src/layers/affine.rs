use crate::{
    Result,
    constraints::Constraint,
    initializers::{Initializer, Ones, Zeros},
    regularizers::Regularizer,
    weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a normalization does last: y = γ·x̂ + β, with the weights `gamma` and `beta`, each of which
/// may be left out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Affine {
    pub(super) center: bool,
    pub(super) scale: bool,
    pub(super) beta_initializer: Box<dyn Initializer>,
    pub(super) gamma_initializer: Box<dyn Initializer>,
    #[serde(with = "crate::config::shared")]
    pub(super) beta_regularizer: Option<Arc<dyn Regularizer>>,
    #[serde(with = "crate::config::shared")]
    pub(super) gamma_regularizer: Option<Arc<dyn Regularizer>>,
    #[serde(with = "crate::config::shared")]
    pub(super) beta_constraint: Option<Arc<dyn Constraint>>,
    #[serde(with = "crate::config::shared")]
    pub(super) gamma_constraint: Option<Arc<dyn Constraint>>,
}

impl Default for Affine {
    fn default() -> Self {
        Self {
            center: true,
            scale: true,
            beta_initializer: Box::new(Zeros),
            gamma_initializer: Box::new(Ones),
            beta_regularizer: None,
            gamma_regularizer: None,
            beta_constraint: None,
            gamma_constraint: None,
        }
    }
}

impl Affine {
    /// Asks for the weights, in Keras's order.
    pub(super) fn build(&self, shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        if self.scale {
            weights.add("gamma", shape, &*self.gamma_initializer)?;
            weights.regularize("gamma", self.gamma_regularizer.clone())?;
            weights.constrain("gamma", self.gamma_constraint.clone())?;
        }
        if self.center {
            weights.add("beta", shape, &*self.beta_initializer)?;
            weights.regularize("beta", self.beta_regularizer.clone())?;
            weights.constrain("beta", self.beta_constraint.clone())?;
        }
        Ok(())
    }

    /// γ, if there is one; `find` gives the layer's weights.
    pub(super) fn gamma<'w>(
        &self,
        find: impl Fn(&str) -> Result<&'w Tensor>,
    ) -> Result<Option<&'w Tensor>> {
        self.scale.then(|| find("gamma")).transpose()
    }

    /// β, if there is one.
    pub(super) fn beta<'w>(
        &self,
        find: impl Fn(&str) -> Result<&'w Tensor>,
    ) -> Result<Option<&'w Tensor>> {
        self.center.then(|| find("beta")).transpose()
    }

    /// Of the gradients of both, those of the weights that there are.
    pub(super) fn gradients(&self, gamma: Tensor, beta: Tensor) -> Vec<Tensor> {
        let gamma = self.scale.then_some(gamma);
        gamma
            .into_iter()
            .chain(self.center.then_some(beta))
            .collect()
    }
}

/// The setters of [`Affine`] on a layer with a field `affine`.
macro_rules! affine_setters {
    () => {
        /// Whether the offset β is added; it is by default.
        pub fn center(mut self, center: bool) -> Self {
            self.affine.center = center;
            self
        }

        /// Whether outputs are multiplied by the factor γ; they are by default. A linear layer that
        /// comes next can do the same.
        pub fn scale(mut self, scale: bool) -> Self {
            self.affine.scale = scale;
            self
        }

        /// What β starts with: [`Zeros`](crate::initializers::Zeros) by default.
        pub fn beta_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
            self.affine.beta_initializer = Box::new(initializer);
            self
        }

        /// What γ starts with: [`Ones`](crate::initializers::Ones) by default.
        pub fn gamma_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
            self.affine.gamma_initializer = Box::new(initializer);
            self
        }

        /// What β adds to the loss.
        pub fn beta_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
            self.affine.beta_regularizer = Some(std::sync::Arc::new(regularizer));
            self
        }

        /// What γ adds to the loss.
        pub fn gamma_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
            self.affine.gamma_regularizer = Some(std::sync::Arc::new(regularizer));
            self
        }

        /// What every update brings β back to.
        pub fn beta_constraint(mut self, constraint: impl Constraint + 'static) -> Self {
            self.affine.beta_constraint = Some(std::sync::Arc::new(constraint));
            self
        }

        /// What every update brings γ back to.
        pub fn gamma_constraint(mut self, constraint: impl Constraint + 'static) -> Self {
            self.affine.gamma_constraint = Some(std::sync::Arc::new(constraint));
            self
        }
    };
}
pub(super) use affine_setters;
