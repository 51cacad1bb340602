//! From a file's numbers to Rust's.

use super::super::Dtype;
use super::datatype::Format;
use pulp::bytemuck::{Pod, cast_slice_mut};

/// A number that datasets can be read as: `f32`, `f64` or `i64`. Floats take every number of a file,
/// rounded as `as` rounds; `i64` takes integers that fit.
pub(crate) trait Number: Copy + Default + Pod + Send + Sync {
    /// Its own type in files.
    const DTYPE: Dtype;

    /// numpy's name.
    const NAME: &'static str;

    fn from_f32(value: f32) -> Option<Self>;
    fn from_f64(value: f64) -> Option<Self>;
    fn from_i64(value: i64) -> Option<Self>;
    fn from_u64(value: u64) -> Option<Self>;
}

impl Number for f32 {
    const DTYPE: Dtype = Dtype::F32;
    const NAME: &'static str = "float32";

    fn from_f32(value: f32) -> Option<Self> {
        Some(value)
    }

    fn from_f64(value: f64) -> Option<Self> {
        Some(value as f32)
    }

    fn from_i64(value: i64) -> Option<Self> {
        Some(value as f32)
    }

    fn from_u64(value: u64) -> Option<Self> {
        Some(value as f32)
    }
}

impl Number for f64 {
    const DTYPE: Dtype = Dtype::F64;
    const NAME: &'static str = "float64";

    fn from_f32(value: f32) -> Option<Self> {
        Some(value.into())
    }

    fn from_f64(value: f64) -> Option<Self> {
        Some(value)
    }

    fn from_i64(value: i64) -> Option<Self> {
        Some(value as f64)
    }

    fn from_u64(value: u64) -> Option<Self> {
        Some(value as f64)
    }
}

impl Number for i64 {
    const DTYPE: Dtype = Dtype::I64;
    const NAME: &'static str = "int64";

    fn from_f32(_: f32) -> Option<Self> {
        None
    }

    fn from_f64(_: f64) -> Option<Self> {
        None
    }

    fn from_i64(value: i64) -> Option<Self> {
        Some(value)
    }

    fn from_u64(value: u64) -> Option<Self> {
        value.try_into().ok()
    }
}

/// The bytes of numbers, where a file holds them just so.
pub(super) fn bytes_of<T: Number>(format: Format, numbers: &mut [T]) -> Option<&mut [u8]> {
    let alike = format.dtype == T::DTYPE && format.big_endian == cfg!(target_endian = "big");
    alike.then(|| cast_slice_mut(numbers))
}

/// Decodes as many numbers as both `bytes` and `into` hold, or says what does not fit.
pub(super) fn decode<T: Number>(
    format: Format,
    bytes: &[u8],
    into: &mut [T],
) -> Result<(), String> {
    let big = format.big_endian;
    let all_fit = match format.dtype {
        Dtype::F16 => each(bytes, big, into, |b| {
            T::from_f32(f16(u16::from_le_bytes(b)))
        }),
        Dtype::Bf16 => each(bytes, big, into, |b| {
            T::from_f32(bf16(u16::from_le_bytes(b)))
        }),
        Dtype::F32 => each(bytes, big, into, |b| T::from_f32(f32::from_le_bytes(b))),
        Dtype::F64 => each(bytes, big, into, |b| T::from_f64(f64::from_le_bytes(b))),
        Dtype::I8 => each(bytes, big, into, |b| {
            T::from_i64(i8::from_le_bytes(b).into())
        }),
        Dtype::I16 => each(bytes, big, into, |b| {
            T::from_i64(i16::from_le_bytes(b).into())
        }),
        Dtype::I32 => each(bytes, big, into, |b| {
            T::from_i64(i32::from_le_bytes(b).into())
        }),
        Dtype::I64 => each(bytes, big, into, |b| T::from_i64(i64::from_le_bytes(b))),
        Dtype::U8 => each(bytes, big, into, |b| {
            T::from_u64(u8::from_le_bytes(b).into())
        }),
        Dtype::U16 => each(bytes, big, into, |b| {
            T::from_u64(u16::from_le_bytes(b).into())
        }),
        Dtype::U32 => each(bytes, big, into, |b| {
            T::from_u64(u32::from_le_bytes(b).into())
        }),
        Dtype::U64 => each(bytes, big, into, |b| T::from_u64(u64::from_le_bytes(b))),
        Dtype::Opaque(_) => None,
    };
    all_fit.ok_or_else(|| {
        format!(
            "expected numbers that fit {}, got {}",
            T::NAME,
            format.dtype
        )
    })
}

/// Converts element by element, in two loops so that neither asks for the byte order.
fn each<const N: usize, T>(
    bytes: &[u8],
    big_endian: bool,
    into: &mut [T],
    convert: impl Fn([u8; N]) -> Option<T>,
) -> Option<()> {
    let (elements, _) = bytes.as_chunks::<N>();
    let pairs = into.iter_mut().zip(elements);
    if big_endian {
        for (value, &(mut element)) in pairs {
            element.reverse();
            *value = convert(element)?;
        }
    } else {
        for (value, &element) in pairs {
            *value = convert(element)?;
        }
    }
    Some(())
}

fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The number of a half-precision float: one sign bit, five of exponent, ten of mantissa.
fn f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10 & 31);
    let mantissa = u32::from(bits & 0x3ff);
    let size = match exponent {
        // subnormal: mantissa · 2⁻²⁴, exact in f32
        0 => (mantissa as f32 / (1u32 << 24) as f32).to_bits(),
        // infinite or no number
        31 => 0xff << 23 | mantissa << 13,
        // the bias is 15 there, 127 here
        _ => (exponent + 127 - 15) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Number>(dtype: Dtype, big_endian: bool, bytes: &[u8]) -> Result<Vec<T>, String> {
        let mut values = vec![T::default(); bytes.len() / dtype.size() as usize];
        decode(Format { dtype, big_endian }, bytes, &mut values)?;
        Ok(values)
    }

    #[test]
    fn every_half_float_has_the_value_of_its_formula() {
        for bits in 0..=u16::MAX {
            let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
            let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
            let expected = match exponent {
                31 if mantissa > 0.0 => f64::NAN,
                31 => sign * f64::INFINITY,
                0 => sign * mantissa * 2f64.powi(-24),
                _ => sign * (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15),
            };
            let got = f64::from(f16(bits));
            assert!(
                got == expected || got.is_nan() && expected.is_nan(),
                "{bits:#x}"
            );
            assert_eq!(got.is_sign_negative(), bits & 0x8000 != 0);
        }
    }

    #[test]
    fn reads_both_byte_orders() {
        let bytes = 1.5f64.to_be_bytes();
        assert_eq!(read::<f32>(Dtype::F64, true, &bytes), Ok(vec![1.5]));
        assert_eq!(read::<i64>(Dtype::I16, true, &[0xff, 0xfe]), Ok(vec![-2]));
        assert_eq!(read::<i64>(Dtype::I16, false, &[0xfe, 0xff]), Ok(vec![-2]));
    }

    #[test]
    fn keeps_the_sign_and_all_bits_of_integers() {
        let least = i64::MIN.to_le_bytes();
        assert_eq!(read::<i64>(Dtype::I64, false, &least), Ok(vec![i64::MIN]));
        assert_eq!(read::<i64>(Dtype::U8, false, &[255, 0]), Ok(vec![255, 0]));
        assert_eq!(
            read::<f64>(Dtype::I8, false, &[255, 1]),
            Ok(vec![-1.0, 1.0])
        );
        let most = u64::MAX.to_le_bytes();
        assert_eq!(
            read::<f32>(Dtype::U64, false, &most),
            Ok(vec![u64::MAX as f32])
        );
    }

    #[test]
    fn bfloat16_is_the_upper_half_of_float32() {
        assert_eq!(
            read::<f32>(Dtype::Bf16, false, &[0xc0, 0xbf]),
            Ok(vec![-1.5])
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let error = |result: Result<Vec<i64>, String>| result.expect_err("an error");
        let big = u64::MAX.to_le_bytes();
        let what = "expected numbers that fit int64, got uint64";
        assert_eq!(error(read(Dtype::U64, false, &big)), what);
        let what = "expected numbers that fit int64, got float32";
        assert_eq!(error(read(Dtype::F32, false, &[0; 4])), what);
        let what = "expected numbers that fit int64, got opaque data of 3 bytes";
        assert_eq!(error(read(Dtype::Opaque(3), false, &[0; 3])), what);
    }
}
