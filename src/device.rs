use crate::{Error, Result};
use candle_core::Device;

/// The device that a name means: `cpu`, `cuda` or `cuda:1`, `metal` or `metal:0`.
///
/// ```
/// use candle_keras::device;
/// # fn main() -> anyhow::Result<()> {
/// assert!(device("cpu")?.is_cpu());
/// assert!(device("abacus").is_err());
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the name means none, the crate was built without the device's feature, or the machine has
/// no such device.
pub fn device(name: &str) -> Result<Device> {
    let lower_case = name.to_lowercase();
    let (kind, index) = lower_case.split_once(':').unwrap_or((&lower_case, "0"));
    let fail = |problem: String, advice: &str| {
        Err(Error::Device {
            name: name.to_string(),
            problem,
            advice: advice.to_string(),
        })
    };
    let Ok(index) = index.parse::<usize>() else {
        return fail(
            format!("expected a number after the colon, got `{index}`"),
            "cuda:0 is the first GPU",
        );
    };
    let (built, made): (bool, fn(usize) -> candle_core::Result<Device>) = match kind {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => (cfg!(feature = "cuda"), Device::new_cuda),
        "metal" => (cfg!(feature = "metal"), Device::new_metal),
        _ => {
            return fail(
                "expected cpu, cuda, cuda:N, metal or metal:N".to_string(),
                "cpu is always there, cuda is for NVIDIA's GPUs, metal for Apple's",
            );
        }
    };
    if !built {
        let advice =
            format!("turn on candle-keras's feature `{kind}` (--features {kind}), or use cpu");
        return fail(format!("this program was built without {kind}"), &advice);
    }
    made(index).or_else(|error| {
        fail(
            format!("this machine has no such device ({error})"),
            "check the driver and the number, or use cpu",
        )
    })
}
