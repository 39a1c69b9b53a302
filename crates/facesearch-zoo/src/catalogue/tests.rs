//! The shipped catalogue is complete; one that contradicts itself is refused.

use super::*;
use crate::{Digest, Packed, Source};

const SMALL: &str = "
[[artifact]]
file = 'a.dat'
sha256 = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
size = 10
sources = [{ path = '/a' }]

[[model]]
name = 'm'
kind = 'detector'
title = 'M'
paper = 'none'
code_licence = 'MIT'
weights_licence = 'MIT'
commercial = 'yes'
input = { colour = 'rgb', scaling = 'none' }
artifacts = ['a.dat']
";

/// What is wrong with `SMALL` once `from` is replaced by `to`.
fn complaint(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from));
    Zoo::parse(&SMALL.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn every_model_is_complete_and_the_default_ones_come_by_web_and_by_package() {
    let zoo = Zoo::builtin();
    assert!(!zoo.models().is_empty());
    for model in zoo.models() {
        let name = &model.name;
        // What a default run needs can be fetched here; the rest may have to be brought.
        assert!(!model.artifacts.is_empty() || !model.default, "{name}");
        if let Some(by_hand) = &model.by_hand {
            assert!(by_hand.address.starts_with("https://"), "{name}: its file has an address");
            assert!(by_hand.places.iter().all(|place| place.starts_with("~/")), "{name}");
        }
        for text in [&model.title, &model.paper, &model.code_licence, &model.weights_licence] {
            assert!(!text.trim().is_empty(), "{name}");
        }
        assert!(model.paper.contains("http"), "{name}: a paper can be looked up");
        for artifact in &model.artifacts {
            let mut sources = artifact.sources.iter();
            assert!(
                matches!(sources.next(), Some(Source::Url { .. })),
                "{}: the official address comes first",
                artifact.file
            );
            for source in &artifact.sources {
                if let Source::Url { url, packed } = source {
                    assert!(url.starts_with("https://"), "{url}");
                    assert_eq!(url.ends_with(".bz2"), *packed == Packed::Bz2, "{url}");
                }
            }
            assert!(
                !model.default
                    || artifact.sources.iter().any(|s| matches!(s, Source::Package { .. })),
                "{}: a machine that reaches registries only gets it too",
                artifact.file
            );
        }
    }
}

#[test]
fn every_file_belongs_to_a_model_and_every_package_to_a_file() {
    let zoo = Zoo::builtin();
    for artifact in zoo.artifacts() {
        let used = zoo.models().iter().flat_map(|model| &model.artifacts);
        assert!(used.into_iter().any(|other| other == artifact), "{}", artifact.file);
        assert!(artifact.size > 0);
    }
    for package in zoo.packages() {
        let mut sources = zoo.artifacts().iter().flat_map(|artifact| &artifact.sources);
        let used = sources.any(|s| matches!(s, Source::Package { package: p, .. } if p == package));
        assert!(used, "{}", package.name);
        assert!(package.file.ends_with(".whl") || package.file.ends_with(".tar.gz"));
    }
}

#[test]
fn thresholds_are_sane_for_their_metric() {
    let zoo = Zoo::builtin();
    for model in zoo.models() {
        let Some(output) = &model.output else { continue };
        let t = output.threshold.unwrap();
        assert!(t > 0.1 && t < 2.0, "{}: {t}", model.name);
        assert!(!output.threshold_origin.as_ref().unwrap().is_empty(), "{}", model.name);
        assert!((64..=4096).contains(&output.dimension.unwrap()), "{}", model.name);
        assert!(model.accuracy.is_some(), "{}: a recogniser states its accuracy", model.name);
    }
}

#[test]
fn each_kind_has_exactly_one_default() {
    let zoo = Zoo::builtin();
    for kind in [ModelKind::Recogniser, ModelKind::Detector, ModelKind::Landmarks] {
        let defaults = zoo.models().iter().filter(|m| m.kind == kind && m.default).count();
        assert_eq!(defaults, 1, "{}", kind.name());
    }
    let dlib = zoo.default_of(ModelKind::Recogniser).unwrap();
    let output = dlib.output.as_ref().unwrap();
    assert_eq!((dlib.name.as_str(), output.dimension), ("dlib", Some(128)));
    assert_eq!(output.metric, Metric::L2);
    assert_eq!(output.threshold, Some(0.55));
}

/// The thresholds that deepface ships for its models: cosine, L2, L2 at unit length, angular.
#[test]
fn deepfaces_thresholds_are_presets() {
    let zoo = Zoo::builtin();
    for (name, numbers) in [
        ("vgg-face", [0.68, 1.17, 1.17, 0.39]),
        ("facenet-128", [0.40, 10.0, 0.80, 0.33]),
        ("facenet-512", [0.30, 23.56, 1.04, 0.35]),
        ("arcface", [0.68, 4.15, 1.13, 0.39]),
        ("dlib", [0.07, 0.6, 0.4, 0.12]),
        ("sface", [0.593, 10.734, 1.055, 0.36]),
        ("openface", [0.10, 0.55, 0.55, 0.11]),
        ("deepface", [0.23, 64.0, 0.64, 0.12]),
        ("deepid", [0.015, 45.0, 0.17, 0.04]),
        ("ghostfacenet", [0.65, 35.71, 1.10, 0.38]),
    ] {
        let model = zoo.model(name).unwrap();
        let metrics = [Metric::Cosine, Metric::L2, Metric::NormalisedL2, Metric::Angular];
        for (metric, number) in metrics.into_iter().zip(numbers) {
            let mut presets = model.presets.iter().filter(|preset| preset.name == "deepface-lib");
            let preset = presets.find(|preset| preset.metric == metric).unwrap();
            assert_eq!(preset.value, number, "{name} {metric}");
        }
    }
    // On unit vectors L2 is the root of twice the cosine distance.
    let deepface = zoo.model("deepface").unwrap();
    let cosine = deepface.presets.iter().find(|preset| preset.metric == Metric::Cosine).unwrap();
    assert!((cosine.l2() - 0.678).abs() < 1e-3);
    assert_eq!(deepface.output.as_ref().unwrap().threshold, Some(0.55));
}

/// The article's numbers of parameters.
#[test]
fn published_numbers_of_parameters_stand_in_the_catalogue() {
    let zoo = Zoo::builtin();
    for (name, parameters) in [
        ("vgg-face", 145_002_878),
        ("facenet-128", 22_808_144),
        ("openface", 3_743_280),
        ("deepface", 137_774_071),
    ] {
        assert_eq!(zoo.model(name).unwrap().parameters, Some(parameters), "{name}");
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones_nearest_first() {
    let zoo = Zoo::builtin();
    let ZooError::UnknownModel { known, .. } = zoo.model("MTCN").unwrap_err() else { panic!() };
    assert_eq!(known[0], "mtcnn");
    assert_eq!(known.len(), zoo.models().len());
    let message = zoo.model("dlip").unwrap_err().to_string();
    assert!(message.contains("`dlip`") && message.contains("first: dlib, "), "{message}");
    let message = zoo.model_of(ModelKind::Recogniser, "mtcnn").unwrap_err().to_string();
    assert!(message.contains("is a detector, not a recogniser"), "{message}");
}

#[test]
fn a_catalogue_that_contradicts_itself_is_refused() {
    Zoo::parse(SMALL).unwrap();
    assert!(complaint("['a.dat']", "['b.dat']").contains("`b.dat`"));
    assert!(complaint("'detector'", "'recogniser'").contains("output"));
    assert!(complaint("'detector'", "'oracle'").contains("oracle"));
    assert!(complaint("size = 10", "size = -10").contains("size"));
    assert!(complaint("aaaa", "xxxx").contains("SHA-256"));
    assert!(complaint("path = '/a'", "path = 'a'").contains("absolute"));
    assert!(complaint("path = '/a'", "package = 'p', member = 'm'").contains("`p`"));
    assert!(complaint("title = 'M'", "title = 'M'\nlicense = 'MIT'").contains("license"));
    let twice = format!("{SMALL}{}", &SMALL[SMALL.find("[[model]]").unwrap()..]);
    assert!(Zoo::parse(&twice).unwrap_err().to_string().contains("twice"));
}

/// A catalogue of one recogniser that is a network file, behind what `SMALL` has.
const NETWORK: &str = "
[[artifact]]
file = 'n.onnx'
sha256 = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'
size = 20
sources = [{ path = '/n' }]

[[model]]
name = 'n'
kind = 'recogniser'
title = 'N'
paper = 'none'
code_licence = 'MIT'
weights_licence = 'MIT'
commercial = 'yes'
artifacts = ['n.onnx']

[model.network]
size = [112, 96]
colours = 'bgr'
normalise = 'raw'
align = 'box'
metric = 'cosine'
";

/// The catalogue of `SMALL`, and `NETWORK` with `from` replaced by `to`.
fn both(from: &str, to: &str) -> Result<Zoo, ZooError> {
    assert!(NETWORK.contains(from));
    Zoo::parse(SMALL).unwrap().with(&NETWORK.replace(from, to))
}

#[test]
fn a_network_says_its_input_and_output() {
    let zoo = both("size = 20", "size = 20").unwrap();
    assert_eq!((zoo.models().len(), zoo.artifacts().len()), (2, 2));
    let model = zoo.model_of(ModelKind::Recogniser, "n").unwrap();
    let network = model.network.as_ref().unwrap();
    assert_eq!((network.size, network.align.as_str()), ([112, 96], "box"));
    assert_eq!((model.input.size, model.input.colour.as_str()), (Some([112, 96]), "bgr"));
    let output = model.output.as_ref().unwrap();
    assert_eq!((output.dimension, output.metric), (None, Metric::Cosine));
    assert_eq!((output.threshold, &output.threshold_origin), (None, &None));
    let more = "metric = 'l2'\ndimension = 8\nthreshold = 1.5\nthreshold_origin = 'mine'";
    let zoo = both("metric = 'cosine'", more).unwrap();
    let output = zoo.model("n").unwrap().output.clone().unwrap();
    assert_eq!((output.dimension, output.threshold), (Some(8), Some(1.5)));
}

#[test]
fn a_network_that_contradicts_itself_is_refused() {
    let complaint = |from: &str, to: &str| both(from, to).unwrap_err().to_string();
    assert!(complaint("[112, 96]", "[112, 0]").contains("112x0"));
    assert!(complaint("colours = 'bgr'", "").contains("colours"));
    assert!(complaint("metric = 'cosine'", "metric = 'cosine'\nthreshold = -1").contains("-1"));
    let origin = "metric = 'cosine'\nthreshold_origin = 'mine'";
    assert!(complaint("metric = 'cosine'", origin).contains("threshold"));
    let too_much = "input = { colour = 'rgb', scaling = 'none' }\nartifacts";
    assert!(complaint("artifacts", too_much).contains("`network` alone"));
    assert!(complaint("'recogniser'", "'detector'").contains("only recognisers"));
    for name in ["a+b", "a@1", "a/b", "n.onnx", ".n", "", "a b"] {
        assert!(complaint("name = 'n'", &format!("name = '{name}'")).contains("no name"), "{name}");
    }
}

#[test]
fn the_entries_of_a_second_catalogue_come_behind_and_take_no_name() {
    let taken = both("name = 'n'", "name = 'm'").unwrap_err().to_string();
    assert!(taken.contains("`m` stands there twice"), "{taken}");
    let taken = both("file = 'n.onnx'", "file = 'A.dat'").unwrap_err().to_string();
    assert!(taken.contains("`A.dat` stands there twice"), "{taken}");
    // It may name what the first has.
    let zoo = both("artifacts = ['n.onnx']", "artifacts = ['a.dat']\nneeds = ['m']").unwrap();
    let needed: Vec<_> = zoo.needed_by(zoo.model("n").unwrap()).map(|m| m.name.clone()).collect();
    assert_eq!(needed, ["m"]);
    for (needs, complaint) in [("n", "needs others itself"), ("x", "no model")] {
        let needs = format!("artifacts = ['n.onnx']\nneeds = ['{needs}']");
        let error = both("artifacts = ['n.onnx']", &needs).unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
    }
    let default = "kind = 'recogniser'\ndefault = true";
    let with = NETWORK.replace("kind = 'recogniser'", default);
    let error = Zoo::builtin().with(&with).unwrap_err().to_string();
    assert!(error.contains("the default recogniser is `dlib` already"), "{error}");
}

/// The weights that `docs/embedding.md` has figures for.
#[test]
fn int16_is_for_the_weights_it_was_measured_with() {
    let zoo = Zoo::builtin();
    let measured: Vec<_> = zoo.models().iter().filter(|model| model.int16).collect();
    for (name, weights) in [
        ("dlib", "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"),
        ("retail-0095", "4d36b88f2d095f9d6921c3c022b4499cd5c4b03dfe4c98fdb02e970cbbfecccc"),
        (
            "mobilefacenet-foamliu",
            "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
        ),
    ] {
        let model = measured.iter().find(|model| model.name == name).unwrap();
        assert!(model.int16_measured_with(weights.parse().unwrap()), "{name}");
        assert!(!model.int16_measured_with(Digest::of(b"others")), "{name}");
    }
    assert_eq!(measured.len(), 3);
    let sface = zoo.model("sface").unwrap();
    assert!(!sface.int16_measured_with(Digest::of(b"any")));
    let by_hand = "by_hand = { file = 'n', address = 'a' }\nint16 = true";
    let error = both("artifacts = ['n.onnx']", by_hand).unwrap_err().to_string();
    assert!(error.contains("SHA-256"), "{error}");
    both("artifacts = ['n.onnx']", "artifacts = ['n.onnx']\nint16 = true").unwrap();
}

#[test]
fn a_file_name_cannot_leave_the_cache() {
    for name in ["../a.dat", "/a.dat", "b/a.dat", "..", ".", "", ".lock", "b\\a.dat", "c:a.dat"] {
        let text = SMALL.replace("'a.dat'", &format!("'{name}'"));
        let message = Zoo::parse(&text).unwrap_err().to_string();
        assert!(message.contains("no plain file name"), "{name}: {message}");
    }
}

#[test]
fn a_package_name_cannot_carry_options_to_the_client() {
    let package = |name: &str, version: &str| {
        let sha = "a".repeat(64);
        Zoo::parse(&format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nfile = 'p.whl'\n\
             sha256 = '{sha}'\nsize = 1"
        ))
    };
    package("face_recognition-models", "0.3.0+cpu").unwrap();
    package("p --index-url=http://evil", "1").unwrap_err();
    package("p", "1\\n--index-url=http://evil").unwrap_err();
}
