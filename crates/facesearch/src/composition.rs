//! `--model a+b+c`: several recognition models that judge together, and what each counts.

use serde::Serialize;

use crate::error::{Error, Result};

/// The models of an ensemble with their weights, in the order of their names: an index is the same
/// however its models were typed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Composition {
    /// As an index is pinned to it.
    model: String,
    parts: Vec<Part>,
    /// L2, of the whole.
    threshold: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Part {
    model: String,
    /// All together are 1.
    weight: f64,
}

impl Composition {
    /// Reads `a+b`, whose models count alike, or `a@3+b@1`, where the first counts three times as
    /// much. Weights are kept to a thousandth of the whole, so that a name gives the same weights
    /// whenever it is read.
    pub fn parse(typed: &str) -> Result<Self> {
        let wrong = |what: &str| Error::usage(format!("`--model {typed}`: {what}"));
        let mut parts: Vec<(&str, Option<f64>)> = Vec::new();
        for part in typed.split('+').map(str::trim) {
            let (name, weight) = match part.rsplit_once('@') {
                Some((name, weight)) => {
                    let weight: Option<f64> = weight.parse().ok();
                    let weight = weight.filter(|weight| *weight > 0.0 && weight.is_finite());
                    let what = "a weight after @ is a number above 0, such as a@3+b@1";
                    (name, Some(weight.ok_or_else(|| wrong(what))?))
                }
                None => (part, None),
            };
            if name.is_empty() {
                return Err(wrong("there is a model without a name"));
            }
            parts.push((name, weight));
        }
        parts.sort_by(|a, b| a.0.cmp(b.0));
        if let Some(twice) = parts.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(wrong(&format!("`{}` is there twice", twice[0].0)));
        }
        if parts.len() < 2 {
            return Err(wrong("several models have a + between them, such as a+b"));
        }
        let weights: Vec<f64> = parts.iter().map(|(_, weight)| weight.unwrap_or(1.0)).collect();
        let alike = weights.windows(2).all(|two| two[0] == two[1]);
        let (weights, names): (Vec<f64>, Vec<String>) = if alike {
            let each = 1.0 / parts.len() as f64;
            parts.iter().map(|(name, _)| (each, (*name).to_owned())).unzip()
        } else {
            let weights = thousandths(&weights);
            if weights.contains(&0) {
                return Err(wrong("a model counts less than a thousandth; leave it out"));
            }
            let part = |((name, _), weight): (&(&str, _), &u32)| {
                let weight = f64::from(*weight) / 1000.0;
                (weight, format!("{name}@{weight}"))
            };
            parts.iter().zip(&weights).map(part).unzip()
        };
        let part = |((name, _), weight): (&(&str, _), f64)| Part { model: (*name).into(), weight };
        let parts = parts.iter().zip(weights).map(part).collect();
        Ok(Self { model: names.join("+"), parts, threshold: 1.0 })
    }

    /// The names in what was typed, whether one or several.
    pub(crate) fn names(typed: &str) -> impl Iterator<Item = &str> {
        let several = typed.contains('+');
        typed.split('+').map(move |part| match part.rsplit_once('@') {
            Some((name, _)) if several => name,
            _ => part,
        })
    }

    /// By which the same ensemble is found again.
    pub fn name(&self) -> String {
        self.model.clone()
    }

    /// The models and what each counts, of 1.
    pub fn parts(&self) -> impl Iterator<Item = (&str, f64)> {
        self.parts.iter().map(|part| (&*part.model, part.weight))
    }

    /// L2, of the whole.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }
}

/// Weights as thousandths of their sum, which add up to 1000: what rounding left over goes to the
/// largest.
fn thousandths(weights: &[f64]) -> Vec<u32> {
    let whole: f64 = weights.iter().sum();
    let mut rounded: Vec<u32> =
        weights.iter().map(|weight| (weight / whole * 1000.0).round() as u32).collect();
    let largest = (0..rounded.len()).max_by_key(|i| (rounded[*i], std::cmp::Reverse(*i)));
    let others = |largest: usize| -> u32 {
        rounded.iter().enumerate().filter(|(i, _)| *i != largest).map(|(_, share)| share).sum()
    };
    if let Some((largest, others)) = largest.map(|largest| (largest, others(largest))) {
        rounded[largest] = 1000u32.saturating_sub(others);
    }
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_the_same_weights_whenever_it_is_read() {
        for (typed, name) in [
            ("b+a", "a+b"),
            ("a@2+b@2+c@2", "a+b+c"),
            ("b@3+a@1", "a@0.25+b@0.75"),
            ("a@1+b@2", "a@0.333+b@0.667"),
            ("a@1+b+c@5", "a@0.143+b@0.143+c@0.714"),
        ] {
            let first = Composition::parse(typed).unwrap();
            assert_eq!(first.name(), name);
            assert_eq!(Composition::parse(&first.name()).unwrap(), first);
            let whole: f64 = first.parts().map(|(_, weight)| weight).sum();
            assert!((whole - 1.0).abs() < 1e-12, "{typed}: {whole}");
        }
        // Every share of a thousand is read back as it was written.
        for share in 1..1000 {
            let typed = format!("a@{share}+b@{}", 1000 - share);
            let first = Composition::parse(&typed).unwrap();
            assert_eq!(Composition::parse(&first.name()).unwrap(), first, "{typed}");
        }
    }

    #[test]
    fn what_is_no_ensemble_is_said_to_be_none() {
        for (typed, why) in [
            ("a+", "without a name"),
            ("a@0+b", "above 0"),
            ("a@x+b", "above 0"),
            ("a@inf+b", "above 0"),
            ("a+b+a", "twice"),
            ("a", "a + between"),
            ("a@1+b@100000", "less than a thousandth"),
        ] {
            let said = Composition::parse(typed).unwrap_err().to_string();
            assert!(said.contains(why), "{typed}: {said}");
        }
        assert_eq!(Composition::names("a@2+b").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Composition::names("a@2").collect::<Vec<_>>(), ["a@2"]);
    }
}
