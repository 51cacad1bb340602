//! Models in files: what is saved is loaded, and training goes on as if it had never stopped.

mod common;

use candle_keras::{
    Config, CustomObjects, Result,
    callbacks::{EarlyStopping, ModelCheckpoint},
    layers::{Layer, Pass},
    optimizers::{Optimizer, schedules::ExponentialDecay},
    prelude::*,
};
use common::{bits, flat, numbers};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Dropout, batch normalisation and shuffling: all that draws or remembers.
fn network() -> Sequential {
    Sequential::new()
        .seed(7)
        .add(Input::new(6))
        .add(Dense::new(5).activation(Relu))
        .add(BatchNormalization::new().momentum(0.8))
        .add(Dropout::new(0.3))
        .add(Dense::new(3).name("head").activation(Softmax))
        .build(&Device::Cpu)
        .unwrap()
}

fn data() -> (Tensor, Tensor) {
    let y = to_categorical(&common::labels(20, 3), 3).unwrap();
    (numbers(&[20, 6], "x"), y)
}

fn epochs(count: usize) -> Fit<'static> {
    Fit::new().epochs(count).batch_size(6).verbose(0)
}

fn text<T>(result: Result<T>) -> String {
    result.map(drop).unwrap_err().to_string()
}

fn optimizers() -> Vec<Box<dyn Optimizer>> {
    use candle_keras::optimizers::*;
    let rate = 0.01;
    vec![
        Sgd::new(rate).momentum(0.9).into(),
        Sgd::new(rate)
            .use_ema(true)
            .gradient_accumulation_steps(2)
            .into(),
        Sgd::new(ExponentialDecay::new(0.1, 4, 0.5)).into(),
        Adadelta::new(rate).into(),
        Adafactor::new(rate).into(),
        Adagrad::new(rate).into(),
        Adam::new(rate).into(),
        Adam::new(rate).amsgrad(true).into(),
        AdamW::new(rate).clipnorm(1.0).into(),
        Adamax::new(rate).into(),
        Ftrl::new(rate).into(),
        Lamb::new(rate).into(),
        Lion::new(rate).into(),
        Muon::new(rate).into(),
        Nadam::new(rate).into(),
        RMSprop::new(rate).centered(true).momentum(0.5).into(),
    ]
}

#[test]
fn a_model_that_was_saved_trains_on_to_the_same_bits_with_every_optimizer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let (x, y) = data();
    for optimizer in optimizers() {
        let what = format!("{optimizer:?}");
        let mut unbroken = network();
        let loss = CategoricalCrossentropy::new().label_smoothing(0.1);
        unbroken.compile(optimizer, loss, [Accuracy]).unwrap();
        unbroken.fit(&x, &y, epochs(2)).unwrap();
        unbroken.save(&path).unwrap();
        let mut loaded = Sequential::load(&path, &Device::Cpu).unwrap();
        assert_eq!(bits(&loaded), bits(&unbroken), "{what}");
        assert_eq!(loaded.layer_names(), unbroken.layer_names());
        let further = unbroken.fit(&x, &y, epochs(2)).unwrap();
        let again = loaded.fit(&x, &y, epochs(2)).unwrap();
        assert_eq!(again["loss"], further["loss"], "{what}");
        assert_eq!(again["accuracy"], further["accuracy"], "{what}");
        assert_eq!(bits(&loaded), bits(&unbroken), "{what}");
    }
}

#[test]
fn weights_of_keras_s_format_hold_what_the_optimizer_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.weights.h5");
    let (x, y) = data();
    let compiled = || {
        let mut model = network();
        let loss = CategoricalCrossentropy::new();
        model.compile(Adam::new(0.01), loss, ()).unwrap();
        model
    };
    let (mut first, mut second) = (compiled(), compiled());
    let in_order = || epochs(1).shuffle(false);
    first.fit(&x, &y, in_order()).unwrap();
    first.save_weights(&path).unwrap();
    second.load_weights(&path).unwrap();
    assert_eq!(bits(&first), bits(&second));
    // Dropout draws by the model's steps, which weights do not hold.
    let evaluated = |model: &mut Sequential| model.train_on_batch(&x, &y).unwrap()["loss"];
    second.fit(&x, &y, in_order()).unwrap();
    first.load_weights(&path).unwrap();
    first.fit(&x, &y, in_order()).unwrap();
    assert_ne!(evaluated(&mut first), 0.0);
    let rate = |model: &Sequential| model.learning_rate().unwrap();
    assert_eq!(rate(&first), rate(&second));
}

#[test]
fn an_architecture_as_json_makes_the_same_model() {
    let text = network().to_json().unwrap();
    let again = Sequential::from_json(&text)
        .unwrap()
        .build(&Device::Cpu)
        .unwrap();
    assert_eq!(again.layer_names(), network().layer_names());
    assert_eq!(again.summary().to_string(), network().summary().to_string());
    assert_eq!(again.to_json().unwrap(), text);
    let unbuilt = Sequential::from_json(&text).unwrap();
    assert!(unbuilt.to_json().unwrap().contains("\"name\":\"head\""));
}

#[test]
fn frozen_layers_numbers_of_f64_and_the_seed_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let network = Sequential::new()
        .dtype(DType::F64)
        .seed(3)
        .add(Input::new((2, 3)));
    let network = network.add(Flatten::new()).add(Dense::new(2).name("base"));
    let mut model = network.add(Dense::new(1)).build(&Device::Cpu).unwrap();
    model.set_trainable("base", false).unwrap();
    model.save(&path).unwrap();
    let loaded = Sequential::load(&path, &Device::Cpu).unwrap();
    assert_eq!(bits(&loaded), bits(&model));
    assert_eq!(loaded.weight("base/kernel").unwrap().dtype(), DType::F64);
    assert!(!loaded.layer("base").unwrap().trainable());
    assert!(loaded.layer("dense").unwrap().trainable());
    assert_eq!(loaded.current_seed(), Some(3));
    let x = numbers(&[4, 2, 3], "x");
    assert_eq!(
        flat(&loaded.predict(&x).unwrap()),
        flat(&model.predict(&x).unwrap())
    );
}

#[test]
fn what_the_optimizer_kept_of_a_frozen_layer_and_leaves_out_of_the_decay_goes_on_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = data();
    let adam = AdamW::new(0.01)
        .weight_decay(0.1)
        .exclude_from_weight_decay(["bias"]);
    let mut model = network();
    model
        .compile(
            adam.use_ema(true).gradient_accumulation_steps(2),
            CategoricalCrossentropy::new(),
            (),
        )
        .unwrap();
    model.fit(&x, &y, epochs(1)).unwrap();
    model.set_trainable("head", false).unwrap();
    model.fit(&x, &y, epochs(1)).unwrap();
    let path = folder.path().join("model.keras");
    model.save(&path).unwrap();
    let mut loaded = Sequential::load(&path, &Device::Cpu).unwrap();
    // The weights alone hold it as well.
    let weights = folder.path().join("model.weights.h5");
    model.save_weights(&weights).unwrap();
    loaded.load_weights(&weights).unwrap();
    for model in [&mut model, &mut loaded] {
        model.set_trainable("head", true).unwrap();
        model.fit(&x, &y, epochs(2)).unwrap();
    }
    assert_eq!(bits(&loaded), bits(&model));
}

#[test]
fn weights_of_another_optimizer_leave_a_frozen_layer_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.weights.h5");
    let (x, y) = data();
    let with = |optimizer: Box<dyn Optimizer>| {
        let mut model = network();
        let loss = CategoricalCrossentropy::new();
        model.compile(optimizer, loss, ()).unwrap();
        model.fit(&x, &y, epochs(1)).unwrap();
        for layer in ["dense", "batch_normalization", "head"] {
            model.set_trainable(layer, false).unwrap();
        }
        model
    };
    let adam = with(Box::new(Adam::new(0.01)));
    adam.save_weights(&path).unwrap();
    let momentum = || Box::new(Sgd::new(0.01).momentum(0.9));
    let (mut loaded, mut given) = (with(momentum()), with(momentum()));
    loaded.load_weights(&path).unwrap();
    given.set_weights(&adam.get_weights().unwrap()).unwrap();
    for model in [&mut loaded, &mut given] {
        model.set_trainable("head", true).unwrap();
        model.fit(&x, &y, epochs(1)).unwrap();
    }
    assert_eq!(bits(&loaded), bits(&given));
}

#[test]
fn the_weights_of_a_whole_model_s_file_are_given_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let (x, y) = data();
    let compiled = || {
        let mut model = network();
        let loss = CategoricalCrossentropy::new();
        model.compile(Adam::new(0.01), loss, ()).unwrap();
        model
    };
    let mut model = compiled();
    model.fit(&x, &y, epochs(2)).unwrap();
    model.save(&path).unwrap();
    let mut other = compiled();
    other.load_weights(&path).unwrap();
    assert_eq!(bits(&other), bits(&model));
    for model in [&mut model, &mut other] {
        // In order, as the passes over the data are none of the weights.
        model.train_on_batch(&x, &y).unwrap();
    }
    assert_eq!(
        model.learning_rate().unwrap(),
        other.learning_rate().unwrap()
    );
}

#[test]
fn a_loaded_model_gets_another_head_as_docs_formats_md_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    network().save(&path).unwrap();
    let model = Sequential::load(&path, &Device::Cpu).unwrap();
    let kernel = flat(&model.weight("dense/kernel").unwrap());
    let model = model.pop().unwrap(); // the old head
    let head = Dense::new(5).activation(Softmax);
    let mut model = model.add(head).build(&Device::Cpu).unwrap();
    model.set_trainable("dense", false).unwrap();
    let loss = CategoricalCrossentropy::new();
    model.compile(Adam::new(0.001), loss, [Accuracy]).unwrap();
    let (x, _) = data();
    let y = to_categorical(&common::labels(20, 5), 5).unwrap();
    model.fit(&x, &y, epochs(1)).unwrap();
    assert_eq!(model.output_shape(), [5]);
    assert_eq!(flat(&model.weight("dense/kernel").unwrap()), kernel);
}

#[test]
fn what_is_no_model_is_called_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.keras");
    let loaded = || text(Sequential::load(&path, &Device::Cpu));
    let model = network();
    model.save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(loaded().contains("a zip that is cut off or damaged"));
    fs::write(&path, "").unwrap();
    assert!(loaded().contains("an empty file"));
    for (name, kind) in [
        ("m.safetensors", "a file of safetensors"),
        ("m.weights.h5", "an HDF5 file"),
    ] {
        let weights = folder.path().join(name);
        model.save_weights(&weights).unwrap();
        fs::rename(&weights, &path).unwrap();
        let error = loaded();
        assert!(
            error.contains(kind) && error.contains("`load_weights`"),
            "{error}"
        );
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(loaded().contains("a folder: name the .keras file itself"));
    let nowhere = folder.path().join("new/m.keras");
    let error = text(model.save(&nowhere));
    assert!(
        error.contains("new does not exist: make it first"),
        "{error}"
    );
}

#[test]
fn a_file_of_a_loss_without_an_optimizer_is_loaded_as_not_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let mut model = network();
    model
        .compile(Adam::new(0.01), CategoricalCrossentropy::new(), ())
        .unwrap();
    model.save(&path).unwrap();
    common::rewrite(&path, "config.json", |config| {
        config["compile_config"]["optimizer"] = Value::Null;
    });
    let mut loaded = Sequential::load(&path, &Device::Cpu).unwrap();
    let (x, y) = data();
    assert!(text(loaded.fit(&x, &y, epochs(1))).contains("compile"));
}

#[test]
fn a_model_that_could_not_be_loaded_does_not_replace_one_that_can() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = network();
    let finite = model.get_weights().unwrap();
    for name in ["m.keras", "m.weights.h5", "m.safetensors"] {
        let path = folder.path().join(name);
        let save = |model: &Sequential| match name {
            "m.keras" => model.save(&path),
            _ => model.save_weights(&path),
        };
        save(&model).unwrap();
        let whole = fs::read(&path).unwrap();
        let (x, y) = data();
        // One step of an endless rate: the loss before it is finite.
        model
            .compile(Sgd::new(f64::MAX), CategoricalCrossentropy::new(), ())
            .unwrap();
        model.train_on_batch(&x, &y).unwrap();
        let error = text(save(&model));
        assert!(
            error.contains("holds a number that is not finite"),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), whole);
        model.set_weights(&finite).unwrap();
    }
    // A configuration of more numbers than are read.
    let path = folder.path().join("m.keras");
    let many = vec![0.5; 600_000];
    let wide = Sequential::new().add(Input::new(600_000));
    let normalization = candle_keras::layers::Normalization::new();
    let wide = wide.add(normalization.mean(many.clone()).variance(many));
    let whole = fs::read(&path).unwrap();
    let error = text(wide.build(&Device::Cpu).unwrap().save(&path));
    assert!(
        error.contains("config.json: expected at most 1048576 values"),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), whole);
}

/// A layer of the user's own, with a weight.
#[derive(Debug, Serialize, Deserialize)]
struct Scale {
    name: Option<String>,
    power: f64,
}

impl Layer for Scale {
    fn class_name(&self) -> &str {
        "Scale"
    }
    fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn build(
        &mut self,
        input_shape: &[usize],
        weights: &mut candle_keras::weights::WeightBuilder<'_>,
    ) -> Result<()> {
        weights.add(
            "factor",
            input_shape,
            &candle_keras::initializers::RandomNormal::new(1.0, 0.5),
        )
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        Ok(inputs.broadcast_mul(&pass.weight("factor")?.powf(self.power)?)?)
    }
    fn config(&self) -> Option<Config> {
        Config::of("Scale", self)
    }
}

#[test]
fn a_layer_of_the_users_own_is_loaded_by_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scaled.keras");
    let scale = Scale {
        name: Some("mine".into()),
        power: 2.0,
    };
    let model = Sequential::new().add(Input::new(4)).add(scale);
    let model = model.build(&Device::Cpu).unwrap();
    model.save(&path).unwrap();
    // As Keras writes a class of the user's own, which it then finds in its `custom_objects`.
    let text_of_model: Value = serde_json::from_str(&model.to_json().unwrap()).unwrap();
    let object = &text_of_model["config"]["layers"][1];
    assert_eq!(object["module"], Value::Null);
    assert_eq!(object["registered_name"], json!("Scale"));
    let error = text(Sequential::load(&path, &Device::Cpu));
    assert!(
        error.contains("layer `mine`") && error.contains("CustomObjects"),
        "{error}"
    );
    let custom = CustomObjects::new().layer::<Scale>("Scale");
    let loaded = Sequential::load_with(&path, &Device::Cpu, &custom).unwrap();
    assert_eq!(loaded.layer_names(), ["mine"]);
    let mut frozen = loaded;
    frozen.set_trainable("mine", false).unwrap();
    frozen.save(&path).unwrap();
    let loaded = Sequential::load_with(&path, &Device::Cpu, &custom).unwrap();
    assert!(
        !loaded.layer("mine").unwrap().trainable(),
        "the file says so, the layer does not"
    );
    assert_eq!(bits(&loaded), bits(&model));
    let x = numbers(&[3, 4], "x");
    assert_eq!(
        flat(&loaded.predict(&x).unwrap()),
        flat(&model.predict(&x).unwrap())
    );
}

#[test]
fn a_loss_that_cannot_be_written_leaves_a_model_that_is_not_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let mut model = network();
    let loss = candle_keras::losses::from_fn("mine", |_, y_pred| Ok(y_pred.mean(1)?));
    model.compile(Sgd::new(0.1), loss, ()).unwrap();
    model.save(&path).unwrap();
    let mut loaded = Sequential::load(&path, &Device::Cpu).unwrap();
    assert_eq!(bits(&loaded), bits(&model));
    let (x, y) = data();
    assert!(text(loaded.fit(&x, &y, epochs(1))).contains("compile"));
}

#[test]
fn the_best_model_of_a_training_is_loaded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best-{epoch}.keras");
    let (x, y) = data();
    let mut model = network();
    model
        .compile(Adam::new(0.01), CategoricalCrossentropy::new(), [Accuracy])
        .unwrap();
    let checkpoint = ModelCheckpoint::new(&path)
        .monitor("loss")
        .save_best_only(true);
    let stopping = EarlyStopping::new().monitor("loss").patience(5);
    let options = epochs(3).callback(checkpoint).callback(stopping);
    model.fit(&x, &y, options).unwrap();
    let last = fs::read_dir(folder.path()).unwrap().count();
    assert!(last > 0);
    let mut best = Sequential::load(folder.path().join("best-1.keras"), &Device::Cpu).unwrap();
    best.fit(&x, &y, epochs(2)).unwrap();
    assert_eq!(
        bits(&best),
        bits(&model),
        "three epochs in one go and in two"
    );
}

#[test]
fn names_and_files_that_do_not_fit_are_errors_that_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let model = network();
    assert_eq!(
        text(model.save("model.h5")),
        "`path`: expected a name that ends in .keras, got model.h5: `save_weights` writes weights alone, as .weights.h5 or .safetensors"
    );
    assert_eq!(
        text(model.save_weights("model.keras")),
        "`path`: expected a name that ends in .weights.h5 or .safetensors, got model.keras: `save` writes whole models, as .keras"
    );
    assert!(text(Sequential::load(file("none.keras"), &Device::Cpu)).contains("none.keras"));
    fs::write(file("text.keras"), "no zip").unwrap();
    let error = text(Sequential::load(file("text.keras"), &Device::Cpu));
    assert!(
        error.contains("text.keras: not a .keras file that can be read"),
        "{error}"
    );
    let unbuilt = Sequential::new().add(Input::new(2)).add(Dense::new(1));
    assert!(text(unbuilt.save(file("a.keras"))).contains("`save` needs a built model"));
    let error = text(Sequential::from_json("{\"class_name\": \"Functional\"}"));
    assert!(
        error.contains("expected a Sequential, got Functional"),
        "{error}"
    );
    // Another model's weights.
    model.save_weights(file("a.weights.h5")).unwrap();
    let other = Sequential::new().add(Input::new(6)).add(Dense::new(4));
    let mut other = other.build(&Device::Cpu).unwrap();
    let before = bits(&other);
    let error = text(other.load_weights(file("a.weights.h5")));
    let expected = "`dense/kernel`, layers/dense/vars/0: expected shape (6, 4), got (6, 5)";
    assert!(error.contains(expected), "{error}");
    assert_eq!(bits(&other), before);
    assert!(!Path::new("model.h5").exists());
}

#[test]
fn layers_and_weights_are_loaded_where_what_compile_was_given_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let mut model = network();
    let loss = CategoricalCrossentropy::new();
    model.compile(Adam::new(0.01), loss, ()).unwrap();
    model.save(&path).unwrap();
    // A function of Python's, as Keras writes it.
    let function = json!({"module": "builtins", "class_name": "function", "config": "my_loss"});
    common::rewrite(&path, "config.json", |config| {
        config["compile_config"]["loss"] = function.clone()
    });
    let mut loaded = Sequential::load(&path, &Device::Cpu).unwrap();
    assert_eq!(bits(&loaded), bits(&model));
    let (x, y) = data();
    assert!(text(loaded.fit(&x, &y, epochs(1))).contains("compile"));
}

/// The mean of the squared errors, as a function of Python's that is registered in a package.
#[derive(Debug, Serialize, Deserialize)]
struct MyLoss;

impl candle_keras::losses::Loss for MyLoss {
    fn name(&self) -> &str {
        "my_loss"
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok((y_pred - y_true)?.sqr()?.mean(1)?)
    }
    fn config(&self) -> Option<Config> {
        Config::of("my_loss", self)
    }
}

#[test]
fn losses_and_metrics_that_are_functions_in_python_are_loaded_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let mut model = network();
    let loss = MeanSquaredError::new();
    model.compile(Sgd::new(0.0), loss, ()).unwrap();
    model.save(&path).unwrap();
    // As Keras writes keras.losses.mean_squared_error and a function of the user's own.
    let function = |name: &str| {
        json!({
            "module": "builtins", "class_name": "function", "config": name,
            "registered_name": "function",
        })
    };
    let (x, y) = data();
    let custom = CustomObjects::new().loss::<MyLoss>("my_loss");
    for loss in ["mean_squared_error", "my>my_loss"] {
        common::rewrite(&path, "config.json", |config| {
            config["compile_config"]["loss"] = function(loss);
            config["compile_config"]["metrics"] = json!([function("mean_squared_error")]);
        });
        let loaded = Sequential::load_with(&path, &Device::Cpu, &custom).unwrap();
        let options = Evaluate::new().verbose(0);
        let logs = loaded.evaluate_with(&x, &y, options).unwrap();
        assert!((logs["loss"] - logs["mean_squared_error"]).abs() < 1e-7);
    }
}

#[test]
fn a_layer_of_another_type_than_the_model_s_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    network().save(&path).unwrap();
    common::rewrite(&path, "config.json", |config| {
        config["config"]["layers"][1]["config"]["dtype"] = json!("float64");
    });
    let error = text(Sequential::load(&path, &Device::Cpu));
    let named = error.contains("layer `dense`") && error.contains("expected the model's type, F32");
    assert!(named, "{error}");
}

#[test]
fn an_activation_that_is_a_layer_is_of_the_model_s_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let dense = Dense::new(3).activation(candle_keras::activations::Elu { alpha: 0.5 });
    let network = Sequential::new().dtype(DType::F64).add(Input::new(4));
    let model = network.add(dense).build(&Device::Cpu).unwrap();
    model.save(&path).unwrap();
    // In Keras it would else be of float32.
    let object: Value = serde_json::from_str(&model.to_json().unwrap()).unwrap();
    let dense = &object["config"]["layers"][1]["config"];
    let config = &dense["activation"]["config"];
    assert_eq!(config["alpha"], json!(0.5));
    assert_eq!(config["dtype"]["config"]["name"], json!("float64"));
    let loaded = Sequential::load(&path, &Device::Cpu).unwrap();
    let x = numbers(&[3, 4], "x").to_dtype(DType::F64).unwrap();
    assert_eq!(
        flat(&loaded.predict(&x).unwrap()),
        flat(&model.predict(&x).unwrap())
    );
    // Keras reads it, and writes its own type as that of the whole.
    common::rewrite(&path, "config.json", |config| {
        config["config"]["dtype"] = json!("float32")
    });
    let again = Sequential::load(&path, &Device::Cpu).unwrap();
    assert_eq!(bits(&again), bits(&model));
    common::rewrite(&path, "config.json", |config| {
        config["config"]["layers"][1]["config"]["activation"]["config"]["dtype"] = json!("float32");
    });
    let error = text(Sequential::load(&path, &Device::Cpu));
    assert!(
        error.contains("expected the model's type, F64, got \"float32\""),
        "{error}"
    );
}

#[test]
fn what_another_optimizer_kept_changes_neither_step_nor_learning_rate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.weights.h5");
    let (x, y) = data();
    let compiled = |optimizer: Box<dyn Optimizer>| {
        let mut model = network();
        let loss = CategoricalCrossentropy::new();
        model.compile(optimizer, loss, ()).unwrap();
        model
    };
    // Without momentum there are only the step and the rate, of which others have as many.
    let mut plain = compiled(Sgd::new(0.5).into());
    plain.fit(&x, &y, epochs(2)).unwrap();
    plain.save_weights(&path).unwrap();
    let mut model = compiled(Adam::new(0.01).into());
    model.load_weights(&path).unwrap();
    assert_eq!(bits(&model), bits(&plain));
    assert_eq!(model.learning_rate().unwrap(), 0.01);
    let mut fresh = compiled(Adam::new(0.01).into());
    fresh.set_weights(&plain.get_weights().unwrap()).unwrap();
    let options = || epochs(1).shuffle(false);
    fresh.fit(&x, &y, options()).unwrap();
    model.fit(&x, &y, options()).unwrap();
    assert_eq!(bits(&model), bits(&fresh), "as if it began");
}

/// A layer whose class is written in lower case.
#[derive(Debug, Serialize, Deserialize)]
struct Identity;

impl Layer for Identity {
    fn class_name(&self) -> &str {
        "identity"
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        Ok(inputs.clone())
    }
    fn config(&self) -> Option<Config> {
        Config::of("identity", self)
    }
}

#[test]
fn a_class_in_lower_case_is_saved_and_loaded_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let model = Sequential::new().add(Input::new(2)).add(Identity);
    model.build(&Device::Cpu).unwrap().save(&path).unwrap();
    let custom = CustomObjects::new().layer::<Identity>("identity");
    let loaded = Sequential::load_with(&path, &Device::Cpu, &custom).unwrap();
    assert_eq!(loaded.layer_names(), ["identity"]);
}
