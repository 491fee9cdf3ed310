//! The models: which digit is on a picture. train.py makes their weights, and says how the files are laid out.

use crate::{
    layers::{Features, Layer},
    picture::{Picture, SIDE},
};

const CLASSES: usize = 10;

type Logits = [f32; CLASSES];

/// From a picture to one number for each class.
pub type Model = fn(&Picture) -> Logits;

/// None: there is no model of this name.
pub fn named(name: &[u8]) -> Option<Model> {
    match name {
        b"" | b"digits" => Some(digits),
        b"linear" => Some(linear),
        _ => None,
    }
}

/// The class, and how probable it is by the model.
pub fn classify(model: Model, picture: &Picture) -> (u16, f64) {
    let logits = model(picture).map(f64::from);
    let (mut class, mut largest) = (0, logits[0]);
    for (i, logit) in (0..).zip(logits) {
        if logit > largest {
            (class, largest) = (i, logit);
        }
    }
    // One is e^0: neither do these overflow, nor is their sum zero.
    let all: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    (class, 1.0 / all)
}

const DIGITS: &[u8] = include_bytes!("../model/digits.weights");
const LINEAR: &[u8] = include_bytes!("../model/linear.weights");

type First = Layer<25, 8>;
type Second = Layer<200, 16>;
type Last = Layer<256, CLASSES>;
type Only = Layer<{ SIDE * SIDE }, CLASSES>;

const _: () = assert!(DIGITS.len() == First::BYTES + Second::BYTES + Last::BYTES);
const _: () = assert!(LINEAR.len() == Only::BYTES);

static FIRST: First = Layer::read(DIGITS, 0);
static SECOND: Second = Layer::read(DIGITS, First::BYTES);
static LAST: Last = Layer::read(DIGITS, First::BYTES + Second::BYTES);
static ONLY: Only = Layer::read(LINEAR, 0);

/// A small convolutional net.
fn digits(picture: &Picture) -> Logits {
    let picture = Features { side: SIDE, channels: 1, values: picture.to_vec() };
    LAST.dense(&SECOND.convolve(&FIRST.convolve(&picture)).values)
}

/// Each pixel speaks for some classes and against others.
fn linear(picture: &Picture) -> Logits {
    ONLY.dense(picture)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::picture::{SMALL, decode};

    /// Python and Rust add in another order, and agree but for that.
    #[test]
    fn the_net_says_what_it_said_in_python() {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("images");
        let table = fs::read_to_string(images.join("logits.csv")).unwrap();
        assert!(table.lines().count() >= 20);
        for line in table.lines() {
            let (name, expected) = line.split_once(',').unwrap();
            let picture = decode(&fs::read(images.join(name)).unwrap(), &SMALL).unwrap();
            let expected: Vec<f32> = expected.split(',').map(|number| number.parse().unwrap()).collect();
            for (logit, expected) in digits(&picture).iter().zip(expected) {
                assert!((logit - expected).abs() < 1e-4, "{name}: {logit} instead of {expected}");
            }
        }
    }

    #[test]
    fn the_confidence_is_a_probability_whatever_the_logits_are() {
        let picture = [0.0; SIDE * SIDE];
        let even: Model = |_| [3.0; 10];
        assert_eq!(classify(even, &picture), (0, 0.1));
        let sure: Model = |_| [-1e30, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e30];
        assert_eq!(classify(sure, &picture), (9, 1.0));
    }
}
