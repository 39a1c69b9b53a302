//! The shipped catalogue is complete; one that contradicts itself is refused.

use super::*;
use crate::{Packed, Source};

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
        let t = output.threshold;
        assert!(t > 0.1 && t < 2.0, "{}: {t}", model.name);
        assert!(!output.threshold_origin.is_empty(), "{}", model.name);
        assert!((64..=4096).contains(&output.dimension), "{}", model.name);
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
    assert_eq!((dlib.name.as_str(), output.dimension), ("dlib", 128));
    assert_eq!(output.metric, Metric::L2);
    assert_eq!(output.threshold, 0.55);
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
    assert_eq!(deepface.output.as_ref().unwrap().threshold, 0.55);
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
