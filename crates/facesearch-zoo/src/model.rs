//! What is known of a model: enough for an engineer to use it and a lawyer to judge it.

use std::path::PathBuf;

use facesearch_core::Metric;
use serde::Deserialize;

use crate::{Artifact, Digest, NetworkUse};

/// One model of the catalogue. The texts are written for people and shown as they are.
#[derive(Debug, Clone)]
pub struct Model {
    /// The name in options and in an index; unique in the catalogue.
    pub name: String,
    /// What it does.
    pub kind: ModelKind,
    /// What it is called in full.
    pub title: String,
    /// Whether it is what its kind uses when nobody names a model.
    pub default: bool,
    /// Where it was described.
    pub paper: String,
    /// Licence of the code it was published with.
    pub code_licence: String,
    /// Licence of the trained weights, in their author's terms.
    pub weights_licence: String,
    /// Whether the weights may be used commercially.
    pub commercial: Commercial,
    /// Trained numbers; `None` where the model is not made of tensors.
    pub parameters: Option<u64>,
    /// What it looks at.
    pub input: Input,
    /// What a recogniser gives; `None` for the other kinds.
    pub output: Option<Output>,
    /// How good it is, and who says so.
    pub accuracy: Option<Accuracy>,
    /// Thresholds that others have published for it, by name and metric.
    pub presets: Vec<Preset>,
    /// The files it is made of, in the order the catalogue names them. Empty where nobody here
    /// has seen the file: see [`by_hand`](Self::by_hand).
    pub artifacts: Vec<Artifact>,
    /// The file that its user has to bring, for a model without artifacts.
    pub by_hand: Option<ByHand>,
    /// How its network is used, for a recogniser that is a network file and needs no code of its
    /// own.
    pub network: Option<NetworkUse>,
    /// The names of the models it cannot do without, such as a predictor of landmarks.
    pub needs: Vec<String>,
    /// Whether 16-bit integers were measured to make no difference to its answers, with the weights
    /// that the catalogue knows; see [`int16_measured_with`](Self::int16_measured_with).
    pub int16: bool,
}

impl Model {
    /// The identity of its weights: the digest of its files together. `None` for a model that is
    /// brought by hand.
    pub fn weights(&self) -> Option<Digest> {
        let digests: Vec<Digest> = self.artifacts.iter().map(|artifact| artifact.sha256).collect();
        Digest::of_all(&digests)
    }

    /// Whether 16-bit integers were measured to make no difference with these very weights.
    pub fn int16_measured_with(&self, weights: Digest) -> bool {
        self.int16 && self.known_weights() == Some(weights)
    }

    /// The weights that were measured: its artifacts, or the known file that is brought by hand.
    pub(crate) fn known_weights(&self) -> Option<Digest> {
        self.weights().or_else(|| self.by_hand.as_ref()?.sha256)
    }
}

/// Weights whose bytes the catalogue does not insist on: they are published without a SHA-256, or
/// at an address that may change. They are taken in with `facesearch models import`, which records
/// what they were.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// What the file is called where it is published.
    pub file: String,
    /// The official address.
    pub address: String,
    /// SHA-256 of the file that was measured here, where one was (of several files, see
    /// [`Digest::of_all`]). A file of another content is taken in, too.
    pub sha256: Option<Digest>,
    /// Where another program of this user may have put it already: absolute, or under `~/`.
    #[serde(default)]
    pub places: Vec<PathBuf>,
}

impl ByHand {
    /// What to do to have the model, which is called `name`, in one sentence and a command.
    pub fn advice(&self, name: &str) -> String {
        let Self { file, address, .. } = self;
        let unpack = if address.ends_with(".zip") { ", unpack it" } else { "" };
        format!("download {address}{unpack} and run `facesearch models import {file} --as {name}`")
    }

    /// The first of the places where there is a file.
    pub fn found(&self) -> Option<PathBuf> {
        self.places.iter().map(|place| crate::home::expand(place)).find(|place| place.is_file())
    }
}

/// A threshold that somebody published.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Whose it is, such as `deepface-lib`.
    pub name: String,
    /// The metric it belongs to.
    pub metric: Metric,
    /// The number in that metric, as published.
    pub value: f32,
}

impl Preset {
    /// The same as an L2 distance between stored vectors.
    ///
    /// - **Trap:** a cosine preset and an L2 preset of one source need not agree: deepface's cosine
    ///   0.23 for DeepFace is 0.678 in L2, where it ships 0.64.
    pub fn l2(&self) -> f32 {
        self.metric.to_l2(self.value)
    }
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// An aligned face becomes an embedding.
    Recogniser,
    /// A photo becomes boxes of faces.
    Detector,
    /// A box of a face becomes points on it.
    Landmarks,
}

impl ModelKind {
    /// The name used in files and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recogniser => "recogniser",
            Self::Detector => "detector",
            Self::Landmarks => "landmarks",
        }
    }
}

/// Whether weights may be used commercially, as far as their terms say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commercial {
    /// The terms allow it.
    Yes,
    /// The terms forbid it.
    No,
    /// The terms do not say, or contradict each other.
    Unclear,
}

impl Commercial {
    /// The name used in files and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unclear => "unclear",
        }
    }
}

/// What a model looks at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Width and height in pixels; `None` where any size will do.
    pub size: Option<[u32; 2]>,
    /// Order of the colours: `rgb`, `bgr` or `grey`.
    pub colour: String,
    /// What is done to the pixels' 0 to 255 before the first layer.
    pub scaling: String,
}

/// What a recogniser gives, and how its embeddings are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Numbers in an embedding; `None` where only the network's file says it.
    pub dimension: Option<usize>,
    /// How two embeddings are compared.
    pub metric: Metric,
    /// The default decision threshold, where one was measured. L2 between stored vectors, whatever
    /// the metric.
    pub threshold: Option<f32>,
    /// Where the threshold comes from.
    pub threshold_origin: Option<String>,
    /// The threshold that the model's own author names, where there is one; also L2.
    pub own_threshold: Option<f32>,
}

/// A figure and who measured it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// The figure with its data set, such as `LFW 99.38 %`.
    pub figure: String,
    /// Who measured it, and where that stands.
    pub source: String,
}
