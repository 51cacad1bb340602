//! Parts of the user's own in files: what is saved by `config` is loaded by `CustomObjects`, wherever
//! in the file it stands.

mod common;

use candle_core::Var;
use candle_keras::{
    Config, CustomObjects, Result,
    constraints::Constraint,
    initializers::Initializer,
    layers::{Layer, Pass},
    losses::Loss,
    metrics::{Counter, Metric, RunningMean},
    optimizers::{Optimizer, Settings, Step, schedules::Schedule},
    prelude::*,
    regularizers::Regularizer,
    seed::Stream,
    weights::{Weight, WeightBuilder},
};
use common::{bits, flat, numbers};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// x·factor^power: it has no name of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Scale {
    power: f64,
}

impl Layer for Scale {
    fn class_name(&self) -> &str {
        "Scale"
    }
    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        weights.add("factor", input_shape, &Counting { first: 2.0 })
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let factor = pass.weight("factor")?.powf(self.power)?;
        Ok(inputs.broadcast_mul(&factor)?)
    }
    fn config(&self) -> Option<Config> {
        Config::of("my>Scale", self)
    }
}

/// Tenths from `first` on.
#[derive(Debug, Serialize, Deserialize)]
struct Counting {
    first: f32,
}

impl Initializer for Counting {
    fn values(&self, shape: &[usize], _: &mut Stream) -> Result<Vec<f32>> {
        let count: usize = shape.iter().product();
        Ok((0..count).map(|i| self.first + i as f32 / 10.0).collect())
    }
    fn config(&self) -> Option<Config> {
        Config::of("Counting", self)
    }
}

/// A penalty on a sum that is not 0.
#[derive(Debug, Serialize, Deserialize)]
struct ZeroSum;

impl Regularizer for ZeroSum {
    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        Ok(weight.sum_all()?.sqr()?)
    }
    fn config(&self) -> Option<Config> {
        Config::of("ZeroSum", self)
    }
}

/// Numbers from -`most` to `most`.
#[derive(Debug, Serialize, Deserialize)]
struct Bounded {
    most: f64,
}

impl Constraint for Bounded {
    fn call(&self, weight: &Tensor) -> Result<Tensor> {
        Ok(weight.clamp(-self.most, self.most)?)
    }
    fn config(&self) -> Option<Config> {
        Config::of("Bounded", self)
    }
}

/// A rate for the first `steps`, then half of it.
#[derive(Debug, Serialize, Deserialize)]
struct TwoRates {
    steps: u64,
    rate: f64,
}

impl Schedule for TwoRates {
    fn learning_rate(&self, step: u64) -> f64 {
        if step < self.steps {
            self.rate
        } else {
            self.rate / 2.0
        }
    }
    fn config(&self) -> Option<Config> {
        Config::of("TwoRates", self)
    }
}

/// Moves every number by the learning rate against its gradient's sign.
#[derive(Debug, Serialize, Deserialize)]
struct SignDescent {
    #[serde(flatten)]
    settings: Settings,
}

impl Optimizer for SignDescent {
    fn name(&self) -> &str {
        "sign_descent"
    }
    fn settings(&self) -> &Settings {
        &self.settings
    }
    fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }
    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, _: &[Var]) -> Result<()> {
        let change = (gradient.sign()? * step.learning_rate)?;
        Ok(weight.variable().set(&(weight.value() - change)?)?)
    }
    fn config(&self) -> Option<Config> {
        Config::of("SignDescent", self)
    }
}

/// Errors to a power.
#[derive(Debug, Serialize, Deserialize)]
struct PowerError {
    power: f64,
}

impl Loss for PowerError {
    fn name(&self) -> &str {
        "power_error"
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let errors = (y_pred - y_true)?.sqr()?;
        Ok(errors.powf(self.power / 2.0)?.mean(1)?)
    }
    fn config(&self) -> Option<Config> {
        Config::of("PowerError", self)
    }
}

/// The mean of the outputs.
#[derive(Debug, Serialize, Deserialize)]
struct MeanOutput;

#[derive(Debug)]
struct MeanOutputCounter(RunningMean);

impl Metric for MeanOutput {
    fn name(&self) -> &str {
        "mean_output"
    }
    fn counter(&self) -> Box<dyn Counter> {
        Box::new(MeanOutputCounter(RunningMean::default()))
    }
    fn config(&self) -> Option<Config> {
        Config::of("MeanOutput", self)
    }
}

impl Counter for MeanOutputCounter {
    fn update(&mut self, _: &Tensor, y_pred: &Tensor, _: Option<&Tensor>) -> Result<()> {
        self.0.add(y_pred)
    }
    fn result(&mut self) -> Result<f64> {
        self.0.result()
    }
}

/// All of them.
fn custom() -> CustomObjects {
    parts_of_layers()
        .loss::<PowerError>("PowerError")
        .metric::<MeanOutput>("MeanOutput")
        .optimizer::<SignDescent>("SignDescent")
        .schedule::<TwoRates>("TwoRates")
}

fn parts_of_layers() -> CustomObjects {
    CustomObjects::new()
        .layer::<Scale>("Scale")
        .initializer::<Counting>("Counting")
        .regularizer::<ZeroSum>("ZeroSum")
        .constraint::<Bounded>("Bounded")
}

/// A built model with every part of a layer.
fn network() -> Sequential {
    let dense = Dense::new(2)
        .kernel_initializer(Counting { first: -0.25 })
        .kernel_regularizer(ZeroSum)
        .bias_constraint(Bounded { most: 0.015625 });
    let network = Sequential::new().seed(3).add(Input::new(3)).add(dense);
    let network = network.add(Scale { power: 2.0 });
    network.build(&Device::Cpu).unwrap()
}

/// The same, compiled with the others.
fn compiled() -> Sequential {
    let mut model = network();
    let rates = TwoRates {
        steps: 3,
        rate: 0.0625,
    };
    let settings = Settings::new(rates).clipvalue(0.5);
    let loss = PowerError { power: 4.0 };
    model
        .compile(SignDescent { settings }, loss, [MeanOutput])
        .unwrap();
    model
}

fn data() -> (Tensor, Tensor) {
    (numbers(&[12, 3], "x"), numbers(&[12, 2], "y"))
}

fn epochs(count: usize) -> Fit<'static> {
    Fit::new().epochs(count).batch_size(6).verbose(0)
}

fn text<T>(result: Result<T>) -> String {
    result.map(drop).unwrap_err().to_string()
}

#[test]
fn a_model_of_parts_of_the_users_own_trains_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let (x, y) = data();
    let mut unbroken = compiled();
    unbroken.fit(&x, &y, epochs(1)).unwrap();
    unbroken.save(&path).unwrap();
    let mut loaded = Sequential::load_with(&path, &Device::Cpu, &custom()).unwrap();
    assert_eq!(loaded.to_json().unwrap(), unbroken.to_json().unwrap());
    let further = unbroken.fit(&x, &y, epochs(2)).unwrap();
    let again = loaded.fit(&x, &y, epochs(2)).unwrap();
    for name in ["loss", "mean_output"] {
        assert_eq!(again[name], further[name]);
    }
    assert_eq!(bits(&loaded), bits(&unbroken));
    assert_eq!(loaded.learning_rate().unwrap(), 0.03125);
    let bias = flat(&loaded.weight("dense/bias").unwrap());
    assert!(bias.iter().all(|number| number.abs() <= 0.015625));
}

#[test]
fn a_part_that_is_not_given_is_named() {
    let json = network().to_json().unwrap();
    let error = |custom: CustomObjects| text(Sequential::from_json_with(&json, &custom));
    let none = CustomObjects::new();
    assert_eq!(
        error(none.clone()),
        "layer `dense`: layer `Dense`: `config`: expected arguments of the class's types, got \
         `constraint`: expected a class of Keras's or of CustomObjects, got Bounded: give it to \
         CustomObjects by `constraint`: write the arguments as Keras does"
    );
    let some = none.constraint::<Bounded>("Bounded");
    assert!(
        error(some.clone()).contains("got Counting: give it to CustomObjects by `initializer`")
    );
    let some = some.initializer::<Counting>("Counting");
    assert!(error(some.clone()).contains("got ZeroSum: give it to CustomObjects by `regularizer`"));
    let some = some.regularizer::<ZeroSum>("ZeroSum");
    assert_eq!(
        error(some.clone()),
        "layer `scale`: `layer`: expected a class of Keras's or of CustomObjects, got my>Scale: give \
         it to CustomObjects by `layer`"
    );
    assert!(Sequential::from_json_with(&json, &some.layer::<Scale>("Scale")).is_ok());
}

#[test]
fn what_one_load_is_given_no_other_finds() {
    let json = network().to_json().unwrap();
    assert!(Sequential::from_json_with(&json, &parts_of_layers()).is_ok());
    assert!(Sequential::from_json(&json).is_err());
    assert!(serde_json::from_value::<Box<dyn Initializer>>(json!("Counting")).is_err());

    /// A layer that loads a model of its own, and then panics.
    #[derive(Debug)]
    struct Panicking;
    impl<'de> Deserialize<'de> for Panicking {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> std::result::Result<Self, D::Error> {
            let inner = network().to_json().unwrap();
            assert!(Sequential::from_json(&inner).is_err(), "nothing was given");
            let made = serde_json::from_value::<Box<dyn Initializer>>(json!({
                "class_name": "Counting", "config": {"first": 1.0},
            }));
            panic!("{made:?}");
        }
    }
    impl Layer for Panicking {
        fn class_name(&self) -> &str {
            "Panicking"
        }
        fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
            Ok(input_shape.to_vec())
        }
        fn forward(&self, inputs: &Tensor, _: &mut Pass<'_>) -> Result<Tensor> {
            Ok(inputs.clone())
        }
    }
    let custom = parts_of_layers().layer::<Panicking>("Scale");
    let load = || drop(Sequential::from_json_with(&json, &custom));
    let panic = catch_unwind(AssertUnwindSafe(load)).unwrap_err();
    let panic = panic.downcast::<String>().unwrap();
    assert_eq!(
        *panic, "Ok(Counting { first: 1.0 })",
        "those of the outer load"
    );
    assert!(Sequential::from_json(&json).is_err());
    assert!(serde_json::from_value::<Box<dyn Initializer>>(json!("Counting")).is_err());
}

#[test]
fn a_part_of_a_layer_without_a_configuration_is_named_when_it_is_written() {
    #[derive(Debug)]
    struct Mute;
    impl Initializer for Mute {
        fn values(&self, shape: &[usize], _: &mut Stream) -> Result<Vec<f32>> {
            Ok(vec![0.0; shape.iter().product()])
        }
    }
    impl Regularizer for Mute {
        fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
            Ok(weight.sum_all()?)
        }
    }
    impl Constraint for Mute {
        fn call(&self, weight: &Tensor) -> Result<Tensor> {
            Ok(weight.clone())
        }
    }
    impl Layer for Mute {
        fn class_name(&self) -> &str {
            "Mute"
        }
        fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
            Ok(input_shape.to_vec())
        }
        fn forward(&self, inputs: &Tensor, _: &mut Pass<'_>) -> Result<Tensor> {
            Ok(inputs.clone())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let error = |layer: Box<dyn Layer>| {
        let model = Sequential::new().add(Input::new(2)).add(layer);
        let model = model.build(&Device::Cpu).unwrap();
        let error = text(model.save(&path));
        assert_eq!(text(model.to_json()), error);
        assert!(!path.exists());
        error
    };
    let dense = || Dense::new(1).name("head");
    let expected = |layer: &str, part: &str| {
        format!(
            "layer `{layer}`: `config`: expected one of every part, got none of the {part}: give its \
             `config` to write it to a file"
        )
    };
    assert_eq!(
        error(dense().bias_initializer(Mute).into()),
        expected("head", "initializer Mute")
    );
    assert_eq!(
        error(dense().activity_regularizer(Mute).into()),
        expected("head", "regularizer Mute")
    );
    assert_eq!(
        error(dense().kernel_constraint(Mute).into()),
        expected("head", "constraint Mute")
    );
    assert_eq!(error(Mute.into()), expected("mute", "layer Mute"));
}

/// What Keras 3.15.1 writes of classes that are registered by
/// `@keras.saving.register_keras_serializable(package="my")`: `model.to_json()` of
/// `[Input((2,)), Scale(2.0, name="mine"), Dense(1, kernel_initializer=Counting(1.5), name="head")]`.
const OF_KERAS: &str = r#"{"module": "keras", "class_name": "Sequential", "config": {"name": "sequential", "trainable": true, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null}, "layers": [{"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [null, 2], "dtype": "float32", "sparse": false, "ragged": false, "name": "input_layer", "optional": false}, "registered_name": null}, {"module": null, "class_name": "Scale", "config": {"name": "mine", "trainable": true, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null}, "power": 2.0}, "registered_name": "my>Scale", "build_config": {"input_shape": [null, 2]}}, {"module": "keras.layers", "class_name": "Dense", "config": {"name": "head", "trainable": true, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null}, "units": 1, "activation": "linear", "use_bias": true, "kernel_initializer": {"module": null, "class_name": "Counting", "config": {"first": 1.5}, "registered_name": "my>Counting"}, "bias_initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": null}, "kernel_regularizer": null, "bias_regularizer": null, "kernel_constraint": null, "bias_constraint": null, "quantization_config": null}, "registered_name": null, "build_config": {"input_shape": [null, 2]}}], "build_input_shape": [null, 2]}, "registered_name": null, "build_config": {"input_shape": [null, 2]}}"#;

#[test]
fn classes_that_python_registers_in_a_package_are_found_with_it_and_without() {
    let others = || CustomObjects::new().initializer::<Counting>("my>Counting");
    let objects = [
        others().layer::<Scale>("Scale"),
        others().layer::<Scale>("my>Scale"),
        others().layer::<Scale>("my>Scale").layer::<Other>("Scale"),
    ];
    for custom in objects {
        let model = Sequential::from_json_with(OF_KERAS, &custom).unwrap();
        let model = model.build(&Device::Cpu).unwrap();
        assert_eq!(model.layer_names(), ["mine", "head"]);
        assert_eq!(flat(&model.weight("mine/factor").unwrap())[0], 2.0);
        assert_eq!(flat(&model.weight("head/kernel").unwrap())[0], 1.5);
        // Written again as Keras wrote it.
        let objects = |text: &str| -> Vec<Value> {
            let object: Value = serde_json::from_str(text).unwrap();
            let layers = object["config"]["layers"].as_array().unwrap();
            layers.to_vec()
        };
        let (again, of_keras) = (objects(&model.to_json().unwrap()), objects(OF_KERAS));
        assert_eq!(again[1], of_keras[1]);
    }
    let error = text(Sequential::from_json(OF_KERAS));
    assert!(error.starts_with("layer `mine`"), "{error}");
    assert!(error.contains("got my>Scale: "), "{error}");
}

/// A layer of another class.
#[derive(Debug, Serialize, Deserialize)]
struct Other;

impl Layer for Other {
    fn class_name(&self) -> &str {
        "Other"
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, inputs: &Tensor, _: &mut Pass<'_>) -> Result<Tensor> {
        Ok(inputs.clone())
    }
    fn config(&self) -> Option<Config> {
        Config::of("Other", self)
    }
}

#[test]
fn somebodys_own_class_is_not_taken_for_one_of_keras_of_the_same_name() {
    for registered_name in ["my>Dense", "Dense"] {
        let mut object: Value = serde_json::from_str(OF_KERAS).unwrap();
        let layer = &mut object["config"]["layers"][2];
        layer["module"] = Value::Null;
        layer["registered_name"] = json!(registered_name);
        let custom = custom();
        let error = text(Sequential::from_json_with(&object.to_string(), &custom));
        let expected = format!("got {registered_name}: give it to CustomObjects by `layer`");
        assert!(error.contains(&expected), "{error}");
        let custom = custom.layer::<Other>("Dense");
        let made = Sequential::from_json_with(&object.to_string(), &custom).unwrap();
        let made = made.build(&Device::Cpu).unwrap();
        assert_eq!(made.layer("head").unwrap().class_name(), "Other");
    }
}

#[test]
fn a_layer_without_a_name_of_its_own_keeps_the_one_in_the_file() {
    let custom = CustomObjects::new()
        .layer::<Scale>("Scale")
        .initializer::<Counting>("Counting");
    let unbuilt = || Sequential::from_json_with(OF_KERAS, &custom).unwrap();
    let named = |model: &Sequential| model.summary().to_string().contains("│ mine (Scale) ");
    assert!(named(&unbuilt()));
    assert!(unbuilt().to_json().unwrap().contains(r#""name":"mine""#));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let model = unbuilt().build(&Device::Cpu).unwrap();
    model.save(&path).unwrap();
    let loaded = Sequential::load_with(&path, &Device::Cpu, &custom).unwrap();
    assert!(named(&loaded));
    // In a model that is taken apart as well.
    let again = loaded.pop().unwrap().add(Scale { power: 1.0 });
    let again = again.build(&Device::Cpu).unwrap();
    assert_eq!(again.layer_names(), ["mine", "scale"]);
    assert_eq!(flat(&again.weight("mine/factor").unwrap())[0], 2.0);
}

#[test]
fn what_custom_objects_hold_is_shown() {
    let custom = parts_of_layers().schedule::<TwoRates>("TwoRates");
    let shown = format!("{custom:?}");
    let expected = r#"CustomObjects(["Bounded", "Counting", "Scale", "TwoRates", "ZeroSum"])"#;
    assert_eq!(shown, expected);
}

/// Written as whatever it holds.
#[derive(Debug)]
struct Holds(Value);

impl Layer for Holds {
    fn class_name(&self) -> &str {
        "Holds"
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, inputs: &Tensor, _: &mut Pass<'_>) -> Result<Tensor> {
        Ok(inputs.clone())
    }
    fn config(&self) -> Option<Config> {
        Config::of("Holds", &self.0)
    }
}

/// Keras's JSON of a model of that layer.
fn json_of(fields: Value) -> Result<String> {
    let network = Sequential::new().add(Input::new(2));
    network.add(Holds(fields)).to_json()
}

#[test]
fn fields_without_names_are_an_error_not_lost() {
    let error = json_of(json!(2.0)).unwrap_err().to_string();
    assert!(error.contains("fields without names of `Holds`"), "{error}");
}

/// Somebody's own, though it is called as one of Keras's.
#[derive(Debug, Serialize, Deserialize)]
struct Softmax;

impl Layer for Softmax {
    fn class_name(&self) -> &str {
        "Softmax"
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, inputs: &Tensor, _: &mut Pass<'_>) -> Result<Tensor> {
        Ok((inputs * 100.0)?)
    }
    fn config(&self) -> Option<Config> {
        Config::of("Softmax", self)
    }
}

#[test]
fn a_class_that_is_called_as_one_of_keras_s_is_never_taken_for_it_nor_it_for_the_class() {
    let custom = CustomObjects::new().layer::<Softmax>("Softmax");
    let both = Sequential::new().add(Input::new(2)).add(Softmax);
    let both = both.add(candle_keras::layers::Softmax::new());
    let text = both.to_json().unwrap();
    let error = Sequential::from_json(&text).unwrap_err().to_string();
    assert!(
        error.contains("give it to CustomObjects by `layer`"),
        "{error}"
    );
    let again = Sequential::from_json_with(&text, &custom).unwrap();
    let again = again.build(&Device::Cpu).unwrap();
    let x = Tensor::new(&[[0.01f32, 0.02]], &Device::Cpu).unwrap();
    // A hundred times as much, then a softmax.
    let outputs = flat(&again.predict(&x).unwrap());
    assert!(
        (outputs[1] / outputs[0] - 1f64.exp()).abs() < 1e-5,
        "{outputs:?}"
    );
    // A module of another package is none of Keras's.
    for module in ["keras_hub.layers", "kerastools"] {
        let mut object: Value = serde_json::from_str(&text).unwrap();
        let layer = &mut object["config"]["layers"][2];
        layer["module"] = json!(module);
        layer["registered_name"] = json!("hub>Softmax");
        object["config"]["layers"].as_array_mut().unwrap().remove(1);
        let error = Sequential::from_json(&object.to_string());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("hub>Softmax"), "{error}");
    }
}

#[test]
fn a_field_that_the_file_has_of_every_layer_is_an_error_not_overwritten() {
    let error = json_of(json!({"dtype": "float16"}))
        .unwrap_err()
        .to_string();
    assert!(error.contains("`dtype`: rename the field"), "{error}");
}

#[test]
fn an_activation_of_somebody_s_own_shape_is_written_as_it_is() {
    for activation in [
        json!({"module": "x", "config": "text"}),
        json!({"module": null, "config": {"a": 1}}),
        json!({"module": "keras.layers", "config": 7}),
    ] {
        let text = json_of(json!({"activation": activation})).unwrap();
        let object: Value = serde_json::from_str(&text).unwrap();
        let written = &object["config"]["layers"][1]["config"]["activation"];
        assert_eq!(*written, activation);
    }
}

#[test]
fn a_layer_that_was_frozen_is_so_in_the_architecture_alone_and_in_what_is_taken_apart() {
    let custom = CustomObjects::new().layer::<Scale>("Scale");
    let network = Sequential::new()
        .add(Input::new(2))
        .add(Scale { power: 1.0 });
    let mut model = network.add(Dense::new(1)).build(&Device::Cpu).unwrap();
    model.set_trainable("scale", false).unwrap();
    let trained = |text: &str| {
        let again = Sequential::from_json_with(text, &custom).unwrap();
        let unbuilt: Value = serde_json::from_str(&again.to_json().unwrap()).unwrap();
        let again = again.build(&Device::Cpu).unwrap();
        let trainable = again.layer("scale").unwrap().trainable();
        assert_eq!(
            unbuilt["config"]["layers"][1]["config"]["trainable"],
            json!(trainable)
        );
        trainable
    };
    assert!(!trained(&model.to_json().unwrap()));
    let popped = model.pop().unwrap();
    let mut model = {
        assert!(!trained(&popped.to_json().unwrap()));
        popped.build(&Device::Cpu).unwrap()
    };
    model.set_trainable("scale", true).unwrap();
    assert!(trained(&model.to_json().unwrap()));
}
