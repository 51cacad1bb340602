use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number in JSON, which has none that is not finite: those are text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.is_finite() {
            true => serializer.serialize_f64(self.0),
            false => serializer.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Finite(f64),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Finite(number) => Ok(Self(number)),
            Written::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_to_the_bit() {
        // The second is one that serde_json reads wrong without its feature `float_roundtrip`.
        let exact = [0.1, 51.24817837550540_4, -0.0, f64::MIN_POSITIVE / 8.0];
        let others = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX];
        for number in exact.into_iter().chain(others) {
            let text = serde_json::to_string(&Number(number)).unwrap();
            let Number(again) = serde_json::from_str(&text).unwrap();
            assert!(again.to_bits() == number.to_bits() || (again.is_nan() && number.is_nan()));
        }
    }
}
