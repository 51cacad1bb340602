//! A look at a model's layers, and changes to them after `build`.

use super::{Sequential, chain::Node};
use crate::{Error, Result, error::known, layers::Layer, weights::Weight};
use candle_core::Tensor;

/// A layer in its place in a built model.
#[derive(Debug, Clone, Copy)]
pub struct LayerInModel<'a>(&'a Node);

impl<'a> LayerInModel<'a> {
    /// Its name in the model: `dense_1`.
    pub fn name(&self) -> &'a str {
        &self.0.name
    }

    /// Its class, as in Keras: `Dense`.
    pub fn class_name(&self) -> &'a str {
        self.0.layer.class_name()
    }

    /// The layer itself.
    pub fn layer(&self) -> &'a dyn Layer {
        &*self.0.layer
    }

    /// The shape of one of its outputs, without the batch.
    pub fn output_shape(&self) -> &'a [usize] {
        &self.0.output_shape
    }

    /// Its weights, in Keras's order.
    pub fn weights(&self) -> &'a [Weight] {
        &self.0.weights
    }

    /// Whether training changes its weights.
    pub fn trainable(&self) -> bool {
        self.0.trainable
    }
}

impl Sequential {
    /// The layers of a built model, in order; none before `build`.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// let network = Sequential::new().add(Input::new(4)).add(Dense::new(3)).add(Dropout::new(0.5));
    /// let model = network.build(&Device::Cpu)?;
    /// let names: Vec<&str> = model.layers().map(|layer| layer.name()).collect();
    /// assert_eq!(names, ["dense", "dropout"]);
    /// # Ok(()) }
    /// ```
    pub fn layers(&self) -> impl Iterator<Item = LayerInModel<'_>> {
        let chain = self.chain.iter();
        chain.flat_map(|chain| chain.nodes.iter().map(LayerInModel))
    }

    /// The names of the layers, in order.
    pub fn layer_names(&self) -> Vec<&str> {
        self.layers().map(|layer| layer.name()).collect()
    }

    /// The layer named `name`. Keras: `get_layer`.
    ///
    /// # Errors
    /// When the model is not built or has none of this name.
    pub fn layer(&self, name: &str) -> Result<LayerInModel<'_>> {
        self.built("layer")?;
        let found = self.layers().find(|layer| layer.name() == name);
        found.ok_or_else(|| self.no_layer(name))
    }

    /// Whether training changes the weights of the layer named `name`, from the next step on. Batch
    /// normalisation that it does not change goes by its moving means.
    ///
    /// Keras: `layer.trainable`, after which `compile` has to be called again; here it need not,
    /// and what the optimizer keeps of other weights stays.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let x = Tensor::ones((4, 2), DType::F32, &Device::Cpu)?;
    /// # let y = Tensor::ones((4, 1), DType::F32, &Device::Cpu)?;
    /// # let network = Sequential::new().add(Input::new(2)).add(Dense::new(3).name("base")).add(Dense::new(1));
    /// # let mut model = network.build(&Device::Cpu)?;
    /// model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
    /// model.set_trainable("base", false)?; // only the last layer learns
    /// let before = model.weight("base/kernel")?.to_vec2::<f32>()?;
    /// model.fit(&x, &y, Fit::new().verbose(0))?;
    /// assert_eq!(model.weight("base/kernel")?.to_vec2::<f32>()?, before);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built or has no layer of this name.
    pub fn set_trainable(&mut self, name: &str, trainable: bool) -> Result<()> {
        self.built("set_trainable")?;
        let nodes = self.chain.iter_mut().flat_map(|chain| &mut chain.nodes);
        let Some(node) = nodes.into_iter().find(|node| node.name == name) else {
            return Err(self.no_layer(name));
        };
        node.set_trainable(trainable);
        if let (Some(compiled), Some(chain)) = (&mut self.compiled, &self.chain) {
            compiled.optimizer.prepare(chain.weights())?;
        }
        Ok(())
    }

    /// Copies of all weights, in the order of the layers.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let network = || Sequential::new().add(Input::new(2)).add(Dense::new(1));
    /// let (first, mut second) = (network().build(&Device::Cpu)?, network().build(&Device::Cpu)?);
    /// second.set_weights(&first.get_weights()?)?; // now they predict the same
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built, or candle cannot allocate.
    pub fn get_weights(&self) -> Result<Vec<Tensor>> {
        self.built("get_weights")?;
        self.weights().map(Weight::copy).collect()
    }

    /// Gives all weights new numbers, in the order of [`get_weights`](Self::get_weights): copies of
    /// `values`. Where one does not fit, none is changed.
    ///
    /// # Errors
    /// When the model is not built, there are more or fewer tensors than weights, a shape is
    /// another, or a number is not finite.
    pub fn set_weights(&mut self, values: &[Tensor]) -> Result<()> {
        self.built("set_weights")?;
        let count = self.weights().count();
        if values.len() != count {
            let paths: Vec<&str> = self.weights().map(Weight::path).collect();
            let expected = format!("{count} tensors: {}", paths.join(", "));
            let advice = "give one for each weight, in order";
            return Err(Error::argument("weights", expected, values.len(), advice));
        }
        for (weight, values) in self.weights().zip(values) {
            weight.check(values)?;
        }
        self.weights()
            .zip(values)
            .try_for_each(|(weight, values)| weight.set(values))
    }

    /// Takes off the last layer. A model that was built is taken apart: build and compile it again,
    /// which keeps the weights of the other layers.
    ///
    /// # Errors
    /// When there is no layer but the `Input`.
    pub fn pop(mut self) -> Result<Self> {
        self.take_apart();
        match self.layers.last() {
            Some(last) if last.layer.as_input().is_none() => {
                self.layers.pop();
                Ok(self)
            }
            _ => Err(Error::NoLayers),
        }
    }

    fn no_layer(&self, name: &str) -> Error {
        Error::Unknown {
            kind: "layer",
            name: name.to_string(),
            known: known(self.layers().map(|layer| layer.name())),
        }
    }
}
