//! MNIST and Fashion-MNIST from the Hugging Face hub, through candle-datasets.

use super::Dataset;

/// Fetches MNIST, or says why not.
#[cfg(feature = "datasets")]
pub(super) fn mnist() -> Result<Dataset, String> {
    fetching::fetch(candle_datasets::vision::mnist::load)
}

/// Fetches Fashion-MNIST, or says why not.
#[cfg(feature = "datasets")]
pub(super) fn fashion_mnist() -> Result<Dataset, String> {
    fetching::fetch(candle_datasets::vision::fashion_mnist::load)
}

/// Says that nothing can be fetched.
#[cfg(not(feature = "datasets"))]
pub(super) fn mnist() -> Result<Dataset, String> {
    Err("the crate feature `datasets`, which fetches them from the hub, is off".to_string())
}

#[cfg(not(feature = "datasets"))]
pub(super) use mnist as fashion_mnist;

#[cfg(feature = "datasets")]
mod fetching {
    use crate::datasets::{
        Dataset,
        image_files::{SIZE, check_labels},
    };
    use candle_core::{DType, Device, Tensor};
    use candle_datasets::vision;
    use std::{any::Any, thread};

    /// Images turned back into bytes at a time: 3 MB of f32.
    const CHUNK: usize = 1000;

    /// Runs `load` on a thread of its own: it unwraps on a bad image, and it starts an
    /// asynchronous runtime, which panics inside another.
    pub(super) fn fetch(
        load: fn() -> candle_core::Result<vision::Dataset>,
    ) -> Result<Dataset, String> {
        let thread = thread::Builder::new()
            .name("candle-keras hub".to_string())
            .spawn(load)
            .map_err(|error| format!("no thread could be started to ask the hub ({error})"))?;
        let fetched = match thread.join() {
            Ok(fetched) => fetched.map_err(reason),
            Err(panic) => Err(message(panic.as_ref())),
        };
        fetched
            .and_then(dataset)
            .map_err(|reason| format!("the hub did not give them ({reason})"))
    }

    /// What an error says, without the backtrace that candle adds under RUST_BACKTRACE.
    fn reason(error: candle_core::Error) -> String {
        match error {
            candle_core::Error::WithBacktrace { inner, .. } => reason(*inner),
            error => error.to_string(),
        }
    }

    /// What a panic said.
    fn message(panic: &(dyn Any + Send)) -> String {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        format!(
            "candle-datasets panicked: {}",
            text.unwrap_or("without a word")
        )
    }

    fn dataset(fetched: vision::Dataset) -> Result<Dataset, String> {
        // Each half is let go before the next is turned.
        let vision::Dataset {
            train_images,
            train_labels,
            test_images,
            test_labels,
            ..
        } = fetched;
        check(&train_images, &train_labels)?;
        check(&test_images, &test_labels)?;
        Ok(Dataset {
            train_images: bytes(train_images).map_err(reason)?.into(),
            train_labels,
            test_images: bytes(test_images).map_err(reason)?.into(),
            test_labels,
        })
    }

    fn check(images: &Tensor, labels: &Tensor) -> Result<(), String> {
        match (images.dims(), labels.dims()) {
            ([count, width], [labels])
                if *count > 0 && *width == SIZE * SIZE && labels == count => {}
            (images, labels) => {
                return Err(format!(
                    "expected images of shape (n, {}) and n labels, got {images:?} and {labels:?}",
                    SIZE * SIZE
                ));
            }
        }
        let labels = labels.to_vec1::<u8>().map_err(reason)?;
        check_labels(&labels)
    }

    /// Pixels from 0 to 1, (n, 784), as the bytes that they were: (n, 28, 28).
    pub(super) fn bytes(images: Tensor) -> candle_core::Result<Tensor> {
        let count = images.dim(0)?;
        let mut bytes = Vec::with_capacity(images.elem_count());
        for start in (0..count).step_by(CHUNK) {
            let chunk = images.narrow(0, start, CHUNK.min(count - start))?;
            let pixels = chunk
                .to_dtype(DType::F32)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            bytes.extend(pixels.iter().map(|pixel| (pixel * 255.0).round() as u8));
        }
        drop(images);
        Tensor::from_vec(bytes, (count, SIZE, SIZE), &Device::Cpu)
    }
}

#[cfg(all(test, not(feature = "datasets")))]
mod tests {
    #[test]
    fn without_the_feature_the_message_names_it() {
        let expected = "the crate feature `datasets`, which fetches them from the hub, is off";
        assert_eq!(super::mnist().unwrap_err(), expected);
        assert_eq!(super::fashion_mnist().unwrap_err(), expected);
    }
}

#[cfg(all(test, feature = "datasets"))]
mod tests {
    use super::fetching::fetch;
    use candle_core::{DType, Device, Result, Tensor};
    use candle_datasets::vision::Dataset;

    /// 2,560 images that together hold every byte; labels of `label`.
    fn fetched(width: usize, label: u8) -> Result<Dataset> {
        let pixels: Vec<u8> = (0..2560 * width).map(|pixel| pixel as u8).collect();
        // As candle-datasets makes them, and a little less, as another rounding might.
        let images = Tensor::from_vec(pixels, (2560, width), &Device::Cpu)?;
        let images = ((images.to_dtype(DType::F32)? / 255.)? - 1e-6)?;
        let labels = Tensor::full(label, 2560, &Device::Cpu)?;
        Ok(Dataset {
            train_images: images.clone(),
            train_labels: labels.clone(),
            test_images: images.narrow(0, 0, 1)?,
            test_labels: labels.narrow(0, 0, 1)?,
            labels: 10,
        })
    }

    #[test]
    fn every_pixel_from_the_hub_is_the_byte_that_it_was() {
        let data = fetch(|| fetched(784, 9)).unwrap();
        let images = data.train_images.tensor();
        assert_eq!(images.dims(), [2560, 28, 28]);
        let pixels = images.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let expected: Vec<u8> = (0..2560 * 784).map(|pixel| pixel as u8).collect();
        assert!(pixels == expected);
        assert_eq!(data.test_images.tensor().dims(), [1, 28, 28]);
        assert_eq!(data.train_labels.to_vec1::<u8>().unwrap(), [9; 2560]);
    }

    #[test]
    fn what_goes_wrong_at_the_hub_becomes_a_reason_and_never_a_panic() {
        let reason = |load| fetch(load).unwrap_err();
        assert_eq!(
            reason(|| candle_core::bail!("Api error: no route")),
            "the hub did not give them (Api error: no route)"
        );
        assert_eq!(
            reason(|| panic!("called unwrap on image {}", 3)),
            "the hub did not give them (candle-datasets panicked: called unwrap on image 3)"
        );
        assert_eq!(
            reason(|| panic!("plain")),
            "the hub did not give them (candle-datasets panicked: plain)"
        );
        assert_eq!(
            reason(|| fetched(783, 0)),
            "the hub did not give them (expected images of shape (n, 784) and n labels, got [2560, 783] and [2560])"
        );
        assert_eq!(
            reason(|| fetched(784, 10)),
            "the hub did not give them (expected labels from 0 to 9, got 10 at sample 0)"
        );
    }
}
