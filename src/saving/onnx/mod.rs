//! Models as ONNX, which onnxruntime and others run: predictions alone.

mod functions;
mod graph;
mod layers;
mod normalizations;
mod protobuf;

use super::{atomic, of_file, saved};
use crate::{Error, Result, Sequential, model::chain::Chain};
use candle_core::DType;
use graph::Graph;
use layers::Place;
use protobuf::Message;
use std::path::Path;

/// The version of the operators: the first that has all that the layers need, of 2022, so that
/// onnxruntime 1.12 and everything since runs the file. Later ones bring operators such as `Gelu` that
/// say the same in one word, and move the axes of a mean.
const OPSET: i64 = 17;

/// The version of the file's own format that came with that opset.
const IR_VERSION: i64 = 8;

/// What protobuf's readers take, in bytes.
const LARGEST: u64 = i32::MAX as u64;

impl Sequential {
    /// Writes the model as an ONNX file, which onnxruntime runs without this crate, Rust or Python: the
    /// outputs are those of [`predict`](Self::predict) but for rounding, for batches of any size.
    ///
    /// The opset is 17 (onnxruntime 1.12 and later). The input is named `input_layer`, the output
    /// `output_0`, both of f32 and with `batch` as the name of the first axis. Weights keep their paths
    /// as names (`dense/kernel`), and operators are named after their layers (`dense/MatMul`). Layers
    /// that do nothing in `predict`, such as dropout, are left out.
    ///
    /// The file cannot be loaded as a `Sequential` again: [`save`](Self::save) it as well. It is
    /// replaced whole or, where something goes wrong, stays as it was.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.onnx");
    /// let model = Sequential::new()
    ///     .add(Input::new(784))
    ///     .add(Dense::new(64).activation(Relu))
    ///     .add(Dropout::new(0.2))
    ///     .add(Dense::new(10).activation(Softmax))
    ///     .build(&Device::Cpu)?;
    /// model.export_onnx(&path)?;
    /// # assert!(path.metadata()?.len() > 4 * 50_890);
    /// # Ok(()) }
    /// ```
    ///
    /// In Python:
    ///
    /// ```text
    /// session = onnxruntime.InferenceSession("model.onnx")
    /// (probabilities,) = session.run(None, {"input_layer": images.astype("float32")})
    /// ```
    ///
    /// # Errors
    /// When the model is not built, its numbers are not f32, the name does not end in `.onnx`, a layer
    /// is one of your own, the file would be larger than the 2 GB that protobuf's readers take, or it
    /// cannot be written.
    ///
    /// Keras: `export` with `format="onnx"`.
    pub fn export_onnx(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let chain = self.built("export_onnx")?;
        check_name(path)?;
        if chain.dtype != DType::F32 {
            let advice = "build the model without .dtype(..) and give it these weights by \
                          set_weights: onnxruntime has not all operators for f64";
            return Err(Error::argument("dtype", "F32", "F64", advice));
        }
        let model = model(chain)?;
        check_size(path, model.size())?;
        atomic::write(path, |file| {
            model.write(file).map_err(|error| of_file(path, error))
        })
    }
}

fn check_name(path: &Path) -> Result<()> {
    if path
        .extension()
        .is_some_and(|extension| extension == "onnx")
    {
        return Ok(());
    }
    let advice = "`save` writes whole models, as .keras";
    let expected = "a name that ends in .onnx";
    Err(Error::argument("path", expected, path.display(), advice))
}

fn check_size(path: &Path, size: u64) -> Result<()> {
    if size <= LARGEST {
        return Ok(());
    }
    let problem = format!(
        "the model takes {size} bytes, expected at most {LARGEST}, which protobuf's readers take"
    );
    let advice = "give layers fewer units, or save it as .keras";
    Err(saved(path, problem, advice))
}

/// ONNX's `ModelProto`.
fn model(chain: &Chain) -> Result<Message> {
    let graph = Graph::new();
    let mut x = graph.input();
    let mut input_shape = &chain.input_shape;
    for node in &chain.nodes {
        graph.begin_layer(&node.name);
        let place = Place {
            graph: &graph,
            node,
            input_shape,
            x,
        };
        x = place.outputs().map_err(|error| node.blame(error))?;
        input_shape = &node.output_shape;
    }
    let output = x.index();
    let shapes = [&chain.input_shape, chain.output_shape()];
    let mut opset = Message::new(); // OperatorSetIdProto
    opset.text(1, "");
    opset.integer(2, OPSET);
    let mut model = Message::new();
    model.integer(1, IR_VERSION);
    model.text(2, "candle-keras");
    model.text(3, env!("CARGO_PKG_VERSION"));
    model.message(7, graph.message(output, shapes));
    model.message(8, opset);
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn a_file_larger_than_protobuf_s_readers_take_is_an_error() {
        // One number, seen as 2 GiB of them, which take no memory.
        let number = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let weight = number.broadcast_as(1 << 29).unwrap();
        let mut message = Message::new();
        message.numbers(9, weight);
        let path = Path::new("large.onnx");
        let error = check_size(path, message.size()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "large.onnx: the model takes 2147483654 bytes, expected at most 2147483647, which \
             protobuf's readers take: give layers fewer units, or save it as .keras"
        );
        check_size(path, LARGEST).unwrap();
    }
}
