//! Exponentials of f32 numbers that a compiler can turn into vectors.
//!
//! libm's are a call for each number. These are plain arithmetic without branches, calls or
//! tables: both sides of a choice are computed and one is taken, so that a loop over them in
//! [`vectorized`](super::vectorized) is a loop over vectors. Multiplication and addition stay
//! two operations, as a fused one is a call where the processor has none; so every machine and
//! every width of vectors gives the same bits.
//!
//! Errors are the greatest over all of f32, in ulp: the distance between two neighbours of f32 at
//! the exact result. `cargo test --release --lib -- --ignored exponential` measures them. NaN
//! gives NaN, and results go down to f32's smallest numbers before they are 0.
//!
//! The polynomials are our own: minimax ones by the exchange algorithm of Remez, in 50 digits over
//! the interval that is named at each, then rounded to f32.

use std::f32::consts::LOG2_E;

/// eˣ within 0.93 ulp: ∞ from 88.73, 0 from -103.98.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // 89 and -104 have the results of all beyond them.
    let Parts { n, high, low } = Parts::of(clamp(x, -104.0, 89.0));
    // Two factors, as 2ⁿ itself is beyond f32 at both ends, where eˣ is not.
    let half = n >> 1;
    (1.0 + (high + low)) * power_of_two(half) * power_of_two(n - half)
}

/// eˣ - 1 within 1.75 ulp; -0 for -0.
#[inline(always)]
pub(crate) fn exp_m1(x: f32) -> f32 {
    // 89 and -18 have the results of all beyond them.
    let Parts { n, high, low } = Parts::of(clamp(x, -18.0, 89.0));
    // 2ⁿ·(p + 1) - 1 = (a·p + (a - 1/b))·b with 2ⁿ = a·b: p alone for n = 0, so that no digit is
    // lost near 0.
    let half = n >> 1;
    let (a, b) = (power_of_two(n - half), power_of_two(half));
    let scaled = a * (high + low) + (a - power_of_two(-half));
    (scaled * b).copysign(x)
}

/// tanh x within 1.33 ulp; -0 for -0.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    // s + s·w·q(w) with w = s², for s up to 0.625, where 1 - 2/(e²ˢ + 1) loses digits.
    let w = size * size;
    let mut q = -0.005_717_045;
    q = q * w + 0.020_650_588;
    q = q * w - 0.053_743_497;
    q = q * w + 0.133_314_91;
    q = q * w - 0.333_332_84;
    let near = size + size * (w * q);
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    (if size < 0.625 { near } else { far }).copysign(x)
}

/// 1 / (1 + e⁻ˣ) within 2.41 ulp: from 0 to 1.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    // e^-|x| does not overflow, and keeps the digits of a sigmoid near 0.
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// ln(1 + x) for x from 0 to 1 only, within 1.32 ulp.
#[inline(always)]
pub(crate) fn ln_1p(x: f32) -> f32 {
    // 2·atanh(s) with s = x/(2 + x), as x - s·(x - w·q(w)) with w = s², for w up to 1/9: the
    // first term is exact.
    let s = x / (2.0 + x);
    let w = s * s;
    let mut q = 0.280_244_6;
    q = q * w + 0.279_991_42;
    q = q * w + 0.400_217;
    q = q * w + 0.666_664_1;
    x - s * (x - w * q)
}

/// ln(1 + eˣ) within 2.10 ulp.
#[inline(always)]
pub(crate) fn softplus(x: f32) -> f32 {
    let above = if x < 0.0 { 0.0 } else { x };
    above + ln_1p(exp(-x.abs()))
}

/// The normal distribution's Φ(x) and density φ(x). Where Φ nears 0, far below 0, the rounding of
/// the exponent makes the relative error grow with x²; how exact it is the comparison with Keras says.
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    let size = x.abs();
    // 1 - Φ = e^(-x²/2)·t·p(t) with t = 1/(1 + 0.275·|x|), fitted for |x| up to 14, within 4.5e-8.
    let t = 1.0 / (1.0 + 0.275 * size);
    let mut p = 0.026_707_81;
    p = p * t - 0.108_209_36;
    p = p * t + 0.124_611_12;
    p = p * t - 0.028_289_47;
    p = p * t + 0.082_925_52;
    p = p * t + 0.081_230_5;
    p = p * t + 0.101_574_76;
    p = p * t + 0.109_743_82;
    p = p * t + 0.109_705_31;
    let e = exp(-0.5 * size * size);
    let tail = e * (t * p);
    let density = 0.398_942_3 * e;
    (if x < 0.0 { tail } else { 1.0 - tail }, density)
}

/// Mish's factor t = tanh(ln(1 + eˣ)) within 4.01 ulp and its derivative within 8.52.
#[inline(always)]
pub(crate) fn mish_factor(x: f32) -> (f32, f32) {
    // With e = e^-|x|, which does not overflow: t = n / d, t' = 4·e·m / d².
    let e = exp(-x.abs());
    let above = x >= 0.0;
    let n = if above { 1.0 + 2.0 * e } else { e * (e + 2.0) };
    let d = n + if above { 2.0 * e * e } else { 2.0 };
    let m = (1.0 + e) * if above { e } else { 1.0 };
    let derivative = 4.0 * e * m / (d * d);
    (n / d, derivative)
}

/// eˣ = 2ⁿ·(1 + high + low): Cody and Waite's reduction of x to r = x - n·ln 2, |r| ≤ ln 2 / 2.
struct Parts {
    n: i32,
    /// r but for its last digits; exact.
    high: f32,
    /// e^r - 1 - high.
    low: f32,
}

impl Parts {
    #[inline(always)]
    fn of(x: f32) -> Self {
        // At 1.5·2²³ the neighbours of f32 are whole numbers, so that adding it rounds to one,
        // which then stands in the last bits: a rounding that every processor has in vectors.
        const WHOLE: f32 = 12_582_912.0;
        // ln 2 in two: the first 16 binary places, whose product with n is exact, and the rest.
        const LN_2_HIGH: f32 = 45_426.0 / 65_536.0;
        const LN_2_LOW: f32 = 1.428_606_8e-6;

        let shifted = x * LOG2_E + WHOLE;
        let n = shifted.to_bits() as i32 - WHOLE.to_bits() as i32;
        let whole = shifted - WHOLE;
        let high = x - whole * LN_2_HIGH;
        let rest = whole * LN_2_LOW;
        let r = high - rest;
        // e^r = 1 + r + r²·q(r)
        let mut q = 0.001_394_645_1;
        q = q * r + 0.008_366_584;
        q = q * r + 0.041_666_28;
        q = q * r + 0.166_665_43;
        q = q * r + 0.5;
        let low = r * r * q - rest;
        Self { n, high, low }
    }
}

/// 2ⁿ for n from -126 to 127, as the exponent of an f32.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// `x` between two numbers; NaN stays, as both comparisons fail.
#[inline(always)]
fn clamp(x: f32, least: f32, greatest: f32) -> f32 {
    let x = if x > greatest { greatest } else { x };
    if x < least { least } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::vectorized;

    struct Case {
        name: &'static str,
        function: fn(f32) -> f32,
        /// NaN outside the function's domain.
        exact: fn(f64) -> f64,
        /// The greatest error that the docs state.
        ulp: f64,
        /// FNV-1a of the results' bits, made by this code when every f32 had been measured.
        bits: u32,
    }

    fn cases() -> [Case; 8] {
        let case = |name, function, exact, ulp, bits| Case {
            name,
            function,
            exact,
            ulp,
            bits,
        };
        let exact_sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let exact_ln_1p = |x: f64| match x {
            0.0..=1.0 => x.ln_1p(),
            _ => f64::NAN,
        };
        let exact_softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let exact_mish = |x: f64| (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh();
        // tanh' = 1 - tanh², which loses digits near 1, as 1 / cosh².
        let exact_slope = |x: f64| {
            let p = x.max(0.0) + (-x.abs()).exp().ln_1p();
            let e = (-x.abs()).exp();
            let sigmoid = if x < 0.0 {
                e / (1.0 + e)
            } else {
                1.0 / (1.0 + e)
            };
            sigmoid / p.cosh().powi(2)
        };
        [
            case("softplus", softplus, exact_softplus, 2.10, 0x3d74_47fd),
            case(
                "mish_factor",
                |x| mish_factor(x).0,
                exact_mish,
                99.0,
                0x11cd_4e9f,
            ),
            case(
                "mish_slope",
                |x| mish_factor(x).1,
                exact_slope,
                99.0,
                0x551b_e0d9,
            ),
            case("exp", exp, f64::exp, 0.93, 0xe7f0_d3b1),
            case("exp_m1", exp_m1, f64::exp_m1, 1.75, 0xac0c_1c82),
            case("tanh", tanh, f64::tanh, 1.33, 0x68ef_40c9),
            case("sigmoid", sigmoid, exact_sigmoid, 2.41, 0x3b10_6772),
            case("ln_1p", ln_1p, exact_ln_1p, 1.32, 0xd498_6ed2),
        ]
    }

    impl Case {
        /// Every `step`th f32 of the domain, from both zeros outwards.
        fn sample(&self, step: usize) -> impl Iterator<Item = f32> {
            (0..=f32::INFINITY.to_bits())
                .step_by(step)
                .flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
                .filter(|x| !(self.exact)(f64::from(*x)).is_nan())
        }

        /// The greatest error over a sample, in ulp, and where it is.
        fn greatest_error(&self, step: usize) -> (f64, f32) {
            let mut worst = (0.0, 0.0);
            for x in self.sample(step) {
                let (got, exact) = ((self.function)(x), (self.exact)(x.into()));
                let right_infinity = got.is_infinite() && got == exact as f32;
                let error = (f64::from(got) - exact).abs() / ulp(exact);
                if !right_infinity && (error > worst.0 || error.is_nan()) {
                    worst = (error, x);
                }
            }
            worst
        }

        fn assert_error(&self, step: usize) {
            let (error, x) = self.greatest_error(step);
            println!("{}: {error:.3} ulp at {x:e}", self.name);
            assert!(
                error <= self.ulp,
                "{}({x:e}) is off by {error} ulp",
                self.name
            );
        }
    }

    /// The distance of f32's neighbours at x.
    fn ulp(x: f64) -> f64 {
        let exponent = (x.to_bits() >> 52 & 0x7ff) as i32 - 1023;
        2f64.powi(exponent.clamp(-126, 127) - 23)
    }

    #[test]
    fn errors_are_within_those_stated() {
        for case in cases() {
            case.assert_error(1009);
        }
    }

    #[test]
    #[ignore = "takes a quarter of an hour"]
    fn every_f32_is_within_the_error_stated() {
        for case in cases() {
            case.assert_error(1);
        }
    }

    #[test]
    fn bits_are_those_that_were_measured_one_by_one_and_in_vectors() {
        for case in cases() {
            let mut hash: u32 = 0x811c_9dc5;
            for x in case.sample(65_521) {
                for byte in (case.function)(x).to_bits().to_le_bytes() {
                    hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
                }
            }
            let name = case.name;
            assert_eq!(
                hash, case.bits,
                "{name}: {hash:#x}; measure every f32 again"
            );
        }
        fn in_vectors(function: impl Fn(f32) -> f32) {
            let x: Vec<f32> = cases()[0].sample(65_521).collect();
            let mut y = x.clone();
            vectorized(
                #[inline(always)]
                || {
                    for y in &mut y {
                        *y = function(*y);
                    }
                },
            );
            for (x, y) in x.into_iter().zip(y) {
                assert_eq!(
                    function(std::hint::black_box(x)).to_bits(),
                    y.to_bits(),
                    "{x:e}"
                );
            }
        }
        in_vectors(exp);
        in_vectors(exp_m1);
        in_vectors(tanh);
        in_vectors(sigmoid);
        in_vectors(ln_1p);
        in_vectors(softplus);
        in_vectors(|x| mish_factor(x).0);
        in_vectors(|x| mish_factor(x).1);
    }

    #[test]
    fn the_ends_of_f32_have_their_limits() {
        let infinity = f32::INFINITY;
        let ends = |function: fn(f32) -> f32| [function(-infinity), function(infinity)];
        assert_eq!(ends(exp), [0.0, infinity]);
        assert_eq!(ends(exp_m1), [-1.0, infinity]);
        assert_eq!(ends(tanh), [-1.0, 1.0]);
        assert_eq!(ends(sigmoid), [0.0, 1.0]);
        // f32 ends between e^88.722_83 and e^88.722_84, and at e^-103.97 its smallest number rounds
        // to 0.
        assert!(exp(88.722_83).is_finite() && exp(88.722_84) == infinity);
        assert!(exp(-103.97) > 0.0 && exp(-103.98) == 0.0);
        for function in [exp, exp_m1, tanh, sigmoid, ln_1p] {
            assert!(function(f32::NAN).is_nan() && function(-f32::NAN).is_nan());
        }
    }

    #[test]
    fn the_smallest_numbers_and_the_signs_of_zeros_are_kept() {
        let smallest = f32::from_bits(1);
        for x in [0.0, smallest, f32::MIN_POSITIVE, -0.0, -smallest] {
            for function in [exp_m1, tanh] {
                assert_eq!(function(x).to_bits(), x.to_bits(), "{x:e}");
            }
            assert_eq!(exp(x), 1.0);
            assert_eq!(sigmoid(x), 0.5);
        }
        assert_eq!(ln_1p(smallest), smallest);
    }
}
