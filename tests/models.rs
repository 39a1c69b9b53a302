//! Recognisers other than the default: brought by the user, opened by name or by path, kept apart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::lfw::pairs_csv;
use crate::support::{
    demo, facesearch, json_lines, photo, run_for, scratch, shared, stderr, stdout, text,
};

/// A cache of its own with what the default models are made of, so that nothing a test imports is
/// seen by another.
pub(crate) struct Models(tempfile::TempDir);

impl Models {
    pub(crate) fn new() -> Self {
        demo();
        let dir = scratch();
        let ordinary = PathBuf::from(stdout(&run_for(0, &["models", "path"])).trim());
        for entry in fs::read_dir(ordinary).unwrap().flatten() {
            if entry.path().is_file() {
                fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
            }
        }
        Self(dir)
    }

    /// The folder that is the user's home, and the cache too.
    pub(crate) fn home(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run(&self, what: &[&str]) -> Output {
        let mut command = facesearch();
        command.args(what).env("FACESEARCH_MODELS", self.home()).env("HOME", self.home());
        command.output().unwrap()
    }

    pub(crate) fn run_for(&self, code: i32, what: &[&str]) -> Output {
        let output = self.run(what);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "`{}` said:\n{said}", what.join(" "));
        output
    }

    /// Takes the file in under a name.
    fn import(&self, file: &Path, name: &str) {
        self.run_for(0, &["models", "import", text(file), "--as", name]);
    }

    /// Takes Intel's network in, from `FACESEARCH_SHARED`.
    pub(crate) fn import_retail(&self) {
        let folder = shared("models/openvino-reid0095");
        let file = |ending| folder.join(format!("face-reidentification-retail-0095.{ending}"));
        self.run_for(0, &["models", "import", text(&file("xml")), text(&file("bin"))]);
    }
}

/// What View 1's test pairs say of a model.
fn judge(models: &Models, view1: &Path, model: &str) -> serde_json::Value {
    let dir = scratch();
    let file = dir.path().join("pairs.csv");
    let pairs = fs::read_to_string(view1.join("pairsDevTest.txt")).unwrap();
    fs::write(&file, pairs_csv(&pairs)).unwrap();
    let images = view1.join("images");
    let arguments =
        ["verify", "-q", "--pairs", text(&file), "--root", text(&images), "--model", model];
    let summary = json_lines(&models.run_for(0, &arguments)).pop().unwrap();
    eprintln!("{model}: {summary}");
    assert_eq!(summary["pairs"], 1000);
    summary
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn the_recommended_model_tells_view_1_apart() {
    let models = Models::new();
    let view1 = shared("data/lfw-view1");
    models.import_retail();
    let summary = judge(&models, &view1, "retail-0095");
    assert!(summary["accuracy"].as_f64().unwrap() >= 0.990, "{summary}");
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn mobile_facenets_of_three_formats_are_as_good_as_their_originals() {
    let models = Models::new();
    let view1 = shared("data/lfw-view1");
    // Accuracy of the originals on LFW's View 2, in their own frameworks: half a point below is
    // allowed, because View 1's pairs are others and fewer.
    for (name, file, original) in [
        ("mobilefacenet-foamliu", "MobileFaceNet.onnx", 0.9913),
        ("mobilefacenet-bubbliiiing", "arcface_mobilefacenet.pth", 0.9845),
        ("mobilefacenet-xiaoccer", "068.ckpt", 0.9887),
    ] {
        let folder = shared(&format!("models/{name}"));
        models.import(&folder.join(file), name);
        let summary = judge(&models, &view1, name);
        let best = summary["best_accuracy"].as_f64().unwrap();
        assert!(best >= original - 0.005, "{name}: {summary}");
    }
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn an_index_of_another_model_is_filled_and_asked_and_keeps_the_default_out() {
    let models = Models::new();
    models.import_retail();
    let dir = scratch();
    let index = dir.path().join("index");
    let people = demo().join("people");
    let fill = ["index", text(&people), "--index", text(&index), "-q"];
    models.run_for(0, &[&fill[..], &["--model", "retail-0095"]].concat());
    let asked = photo("obama2.jpg");
    let query = ["query", text(&asked), "--index", text(&index), "--json"];
    let answer = &json_lines(&models.run_for(0, &query))[0];
    assert_eq!(answer["model"], "retail-0095");
    assert_eq!(answer["faces"][0]["decision"], "match");
    // More photos go in by the index's own model; by another they do not.
    models.run_for(0, &fill);
    let refused = models.run_for(4, &[&fill[..], &["--model", "dlib"]].concat());
    let said = stderr(&refused);
    assert!(said.contains("`retail-0095`") && said.contains("`dlib`"), "{said}");
    let refused = models.run_for(4, &[&fill[..], &["--metric", "angular"]].concat());
    let said = stderr(&refused);
    assert!(said.contains("`cosine`") && said.contains("`angular`"), "{said}");
}

/// Changes one bit in the middle of a file, and nothing of its length.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_bit_flipped_in_a_model_file_is_noticed_before_it_is_used() {
    let models = Models::new();
    let (photo, dir) = (photo("obama2.jpg"), scratch());
    let index = dir.path().join("index");
    let represent = ["represent", text(&photo), "--json", "--offline"];
    let truth = stdout(&models.run_for(0, &represent));
    // Files that were copied just now are hashed each time; those are old that were not touched
    // since.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    for _ in 0..2 {
        assert_eq!(stdout(&models.run_for(0, &represent)), truth);
    }
    for file in fs::read_dir(models.home()).unwrap().flatten().map(|entry| entry.path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".dat") && !name.ends_with("net.pt") {
            continue;
        }
        flip(&file);
        for question in
            [&represent[..], &["index", text(&photo), "--index", text(&index), "--offline"]]
        {
            let said = stderr(&models.run_for(6, question));
            assert!(said.contains(&name) && said.contains("damaged"), "{said}");
        }
        assert!(!index.join("published").exists());
        flip(&file);
        assert_eq!(stdout(&models.run_for(0, &represent)), truth, "{name}");
    }
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn a_bit_flipped_in_a_model_that_was_brought_is_noticed_before_it_is_used() {
    let models = Models::new();
    let folder = shared("models/mobilefacenet-foamliu");
    let file = folder.join("MobileFaceNet.onnx");
    models.import(&file, "mine");
    let photo = photo("obama2.jpg");
    let represent = ["represent", text(&photo), "--json", "--model", "mine"];
    let truth = stdout(&models.run_for(0, &represent));
    flip(&models.home().join("imported/mine/network.onnx"));
    let said = stderr(&models.run_for(6, &represent));
    assert!(said.contains("network.onnx") && said.contains("models import"), "{said}");
    let said = stdout(&models.run_for(6, &["models", "verify", "mine"]));
    assert!(said.contains("mine: wrong"), "{said}");
    models.import(&file, "mine");
    assert_eq!(stdout(&models.run_for(0, &represent)), truth);
    assert_eq!(stdout(&models.run_for(0, &["models", "verify", "mine"])), "mine: right\n");
}

#[test]
fn an_index_is_pinned_to_its_precision() {
    let people = demo().join("people");
    let dir = scratch();
    let index = |precision: &str| dir.path().join(precision);
    let fill = |precision: &str| {
        let index = index(precision);
        let typed = if precision == "none" { vec![] } else { vec!["--precision", precision] };
        run_for(
            0,
            &[&["index", text(&people), "--index", text(&index), "-q"][..], &typed].concat(),
        );
        let stats = json_lines(&run_for(0, &["stats", "--index", text(&index), "--json"]));
        stats[0]["contract"]["precision"].as_str().unwrap().to_owned()
    };
    assert_eq!(fill("none"), "f32");
    assert_eq!(fill("int16"), "int16");
    // dlib's network is one for which int16 was measured to make no difference.
    assert_eq!(fill("auto"), "int16");

    // A query multiplies what the index's embeddings were made with, and finds the same people.
    let asked = photo("obama3.jpg");
    let answers = ["none", "int16", "auto"].map(|precision| {
        let index = index(precision);
        let query = ["query", text(&asked), "--index", text(&index), "--json"];
        let face = json_lines(&run_for(0, &query))[0]["faces"][0].clone();
        assert_eq!(face["decision"], "match", "{face}");
        face
    });
    let nearest = |face: &serde_json::Value| {
        let first = &face["candidates"][0];
        (first["identity"].clone(), first["distance"].as_f64().unwrap())
    };
    let [f32, int16, auto] = [0, 1, 2].map(|i| nearest(&answers[i]));
    assert_eq!(int16, auto);
    assert_eq!(f32.0, int16.0);
    let moved = (f32.1 - int16.1).abs();
    assert!(moved > 0.0 && moved < 0.02, "{f32:?} and {int16:?}");

    // By another precision nothing goes in; without one, or with auto, the index's own is taken.
    let more = |precision: &str, typed: &[&str], code: i32| {
        let index = index(precision);
        let fill = ["index", text(&people), "--index", text(&index), "-q"];
        stderr(&run_for(code, &[&fill[..], typed].concat()))
    };
    for (precision, typed) in [("none", "int16"), ("int16", "f32")] {
        let said = more(precision, &["--precision", typed], 4);
        assert!(said.contains("precision `f32`") || said.contains("precision `int16`"), "{said}");
        assert!(said.contains(&format!("`{typed}` was asked for")), "{said}");
    }
    more("none", &["--precision", "auto"], 0);
    more("int16", &["--precision", "auto"], 0);
    more("int16", &[], 0);
    let said = stderr(&run_for(2, &["represent", text(&asked), "--precision", "int8"]));
    assert!(said.contains("int8") && said.contains("int16"), "{said}");
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn a_network_in_a_file_needs_no_entry() {
    let models = Models::new();
    let folder = shared("models/mobilefacenet-foamliu");
    let (file, dir) = (folder.join("MobileFaceNet.onnx"), scratch());
    let (a, b, c) = (photo("obama.jpg"), photo("obama2.jpg"), photo("biden.jpg"));
    let model = ["--model", text(&file), "--input", "112", "--normalise", "imagenet"];
    let judge = [&model[..], &["--threshold", "1.17", "--json"]].concat();
    let same = [&["verify", text(&a), text(&b)][..], &judge].concat();
    let same = &json_lines(&models.run_for(0, &same))[0];
    models.run_for(1, &[&["verify", text(&a), text(&c)][..], &judge].concat());
    // An index finds the file again by the name it was given.
    let index = dir.path().join("index");
    let people = demo().join("people");
    let fill = ["index", text(&people), "--index", text(&index), "-q"];
    models.run_for(0, &[&fill[..], &model].concat());
    let query = ["query", text(&b), "--index", text(&index), "--json", "--threshold", "1.17"];
    let answer = &json_lines(&models.run_for(0, &query))[0];
    assert_eq!(answer["model"], same["model"]);
    assert_eq!(answer["faces"][0]["decision"], "match");
    // Nobody knows its threshold, so without one nothing is decided, and it is said what to give.
    for undecided in [
        [&["verify", text(&a), text(&b)][..], &model].concat(),
        vec!["query", text(&b), "--index", text(&index), "--json"],
        vec!["audit", "--index", text(&index)],
        vec!["cluster", "--index", text(&index)],
    ] {
        let refused = models.run_for(2, &undecided);
        let said = stderr(&refused);
        assert!(said.contains("no threshold is known") && said.contains("--threshold"), "{said}");
        assert!(stdout(&refused).is_empty());
    }
    let stats = &json_lines(&models.run_for(0, &["stats", "--index", text(&index), "--json"]))[0];
    assert!(stats["contract"]["threshold"].is_null() && stats["false_alarm_rate"].is_null());
    // The same file used in another way is another model.
    let otherwise = ["--model", text(&file), "--normalise", "arcface"];
    models.run_for(4, &[&fill[..], &otherwise].concat());
}

#[test]
fn a_model_is_pulled_with_the_models_it_needs() {
    let models = Models::new();
    let said = stdout(&models.run_for(0, &["models", "pull", "dlib", "--offline"]));
    let files: Vec<_> = said.lines().filter_map(|line| line.rsplit('/').next()).collect();
    let network = "dlib_face_recognition_resnet_model_v1.dat";
    assert_eq!(files, [network, "shape_predictor_5_face_landmarks.dat"]);
}

#[test]
fn weights_of_dlib_that_were_brought_are_opened_with_the_predictor_they_need() {
    let models = Models::new();
    let weights = models.home().join("dlib_face_recognition_resnet_model_v1.dat");
    let import = ["models", "import", text(&weights), "--as", "mine", "--architecture", "dlib"];
    models.run_for(0, &import);
    let photo = photo("obama.jpg");
    let faces = ["dlib", "mine"].map(|model| {
        let output = models.run_for(0, &["represent", text(&photo), "--model", model, "--json"]);
        json_lines(&output)[0]["faces"].clone()
    });
    assert_eq!(faces[0], faces[1]);
    assert_eq!(faces[0][0]["embedding"].as_array().unwrap().len(), 128);
}

/// An index is pinned to these words: with others, those made before are refused.
#[test]
fn what_an_index_is_pinned_to_stays() {
    let index = demo().join("index");
    let stats = json_lines(&run_for(0, &["stats", "--index", text(&index), "--json"]));
    let contract = &stats[0]["contract"];
    let dlib = "dlib-5-point-150+mtcnn-5-point-150, mirrored";
    assert_eq!((&contract["model"], &contract["preprocessing"]), (&"dlib".into(), &dlib.into()));
    let weights = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30";
    assert_eq!(contract["weights"], weights);
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn what_an_index_of_an_imported_model_is_pinned_to_stays() {
    let models = Models::new();
    models.import_retail();
    let dir = scratch();
    let (index, people) = (dir.path().join("index"), demo().join("people"));
    let fill = ["index", text(&people), "--index", text(&index), "-q", "--model", "retail-0095"];
    models.run_for(0, &fill);
    let stats = json_lines(&models.run_for(0, &["stats", "--index", text(&index), "--json"]));
    let contract = &stats[0]["contract"];
    assert_eq!(contract["preprocessing"], "retail-0095-mtcnn-128, 128x128-bgr-raw, mirrored");
    let weights = "4d36b88f2d095f9d6921c3c022b4499cd5c4b03dfe4c98fdb02e970cbbfecccc";
    assert_eq!(contract["weights"], weights);
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn several_models_give_a_line_each_and_their_embeddings() {
    let models = Models::new();
    models.import_retail();
    let (a, b, c) = (photo("obama.jpg"), photo("obama2.jpg"), photo("biden.jpg"));
    let both = ["--model", "dlib,retail-0095"];
    let said = stdout(&models.run_for(0, &[&["verify", text(&a), text(&b)][..], &both].concat()));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("dlib: the same person"), "{said}");
    assert!(lines[1].starts_with("retail-0095: the same person"), "{said}");
    models.run_for(1, &[&["verify", text(&a), text(&c)][..], &both].concat());
    let represent = ["represent", text(&a), "--model", "retail-0095", "--json"];
    let face = &json_lines(&models.run_for(0, &represent))[0]["faces"][0];
    let numbers: Vec<f64> =
        face["embedding"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
    let length: f64 = numbers.iter().map(|n| n * n).sum();
    assert_eq!(numbers.len(), 256);
    assert!((length - 1.0).abs() < 1e-5, "{length}");
}

#[test]
fn what_is_represented_is_what_is_verified_and_a_numpy_file_holds_it() {
    let dir = scratch();
    let (a, b) = (photo("obama.jpg"), photo("obama2.jpg"));
    let file = dir.path().join("faces.npy");
    let output = run_for(0, &["represent", text(&a), text(&b), "--json", "--npy", text(&file)]);
    let numbers: Vec<Vec<f32>> = json_lines(&output)
        .iter()
        .flat_map(|photo| photo["faces"].as_array().unwrap().clone())
        .map(|face| {
            let numbers = face["embedding"].as_array().unwrap().iter();
            numbers.map(|n| n.as_f64().unwrap() as f32).collect()
        })
        .collect();
    let distance: f32 =
        numbers[0].iter().zip(&numbers[1]).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    let verified = &json_lines(&run_for(0, &["verify", text(&a), text(&b), "--json"]))[0];
    let said = verified["distance"].as_f64().unwrap() as f32;
    assert!((distance - said).abs() < 1e-5, "{distance} {said}");
    let bytes = fs::read(&file).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]])) + 10;
    assert_eq!((&bytes[..8], header % 64), (&b"\x93NUMPY\x01\x00"[..], 0));
    let shape = String::from_utf8_lossy(&bytes[10..header]).into_owned();
    assert!(shape.contains(&format!("({}, 128)", numbers.len())), "{shape}");
    let written: Vec<f32> = bytes[header..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(written, numbers.concat());
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn files_that_do_not_fit_are_refused_with_their_first_mismatch() {
    let models = Models::new();
    let dir = scratch();
    let nonsense = dir.path().join("net.onnx");
    fs::write(&nonsense, b"this is no network").unwrap();
    let refused = models.run_for(3, &["models", "import", text(&nonsense), "--as", "mine"]);
    assert!(stderr(&refused).contains("is no model file"), "{}", stderr(&refused));
    let folder = shared("models/mobilefacenet-xiaoccer");
    let file = folder.join("068.ckpt");
    let refused = models.run_for(6, &["models", "import", text(&file), "--as", "deepface"]);
    assert!(stderr(&refused).contains("C1.kernel"), "{}", stderr(&refused));
    let refused = models.run_for(2, &["models", "import", text(&file), "--as", "mine"]);
    assert!(stderr(&refused).contains("--architecture"), "{}", stderr(&refused));
    let refused = models.run_for(2, &["models", "import", text(&file), "--as", "dlib"]);
    assert!(stderr(&refused).contains("another name"), "{}", stderr(&refused));
    assert!(!models.0.path().join("imported/mine").exists());
    // Under a name of one's own, and found again by it.
    let own = ["models", "import", text(&file), "--as", "mine", "--architecture"];
    models.run_for(0, &[&own[..], &["mobilefacenet-xiaoccer"]].concat());
    let listed = stdout(&models.run_for(0, &["models", "list"]));
    let line = listed.lines().find(|line| line.trim_start().starts_with("mine ")).unwrap();
    assert!(line.contains("weights for mobilefacenet-xiaoccer"), "{line}");
}

#[test]
fn the_table_tells_lawyers_and_engineers_what_they_ask() {
    let table = stdout(&run_for(0, &["models", "list"]));
    let header = table.lines().next().unwrap();
    for column in ["LICENCE", "COMMERCIAL USE", "SIZE", "METRIC", "THRESHOLD", "ACCURACY", "HERE"] {
        assert!(header.contains(column), "{header}");
    }
    let row = |name: &str| table.lines().find(|l| l.trim_start().starts_with(name)).unwrap();
    assert!(row("dlib*").contains("LFW 99.38 % (its author)"));
    assert!(row("vgg-face ").contains(" no "));
    assert!(row("retail-0095 ").contains("Apache-2.0"));
    let show = stdout(&run_for(0, &["models", "show", "deepface"]));
    assert!(show.contains("137774071") && show.contains("deepface-lib: normalised-l2 0.64"));
}

#[test]
fn presets_are_thresholds_by_name() {
    let (a, b) = (photo("obama.jpg"), photo("obama2.jpg"));
    let verify = ["verify", text(&a), text(&b), "--json", "--threshold"];
    let with = |threshold, code| {
        let output = run_for(code, &[&verify[..], &[threshold]].concat());
        json_lines(&output)[0]["threshold"].as_f64().unwrap()
    };
    assert!((with("deepface-lib", 0) - 0.6).abs() < 1e-6);
    assert!((with("0.2", 1) - 0.2).abs() < 1e-6);
    let unknown = run_for(2, &[&verify[..], &["nobody"]].concat());
    assert!(stderr(&unknown).contains("deepface-lib"), "{}", stderr(&unknown));
}

#[test]
fn without_the_articles_weights_it_says_what_to_fetch_and_what_to_do_with_it() {
    let models = Models::new();
    let output = models.run_for(6, &["models", "reproduce", "deepface"]);
    let said = stderr(&output);
    assert!(said.contains("VGGFace2_DeepFace_weights_val-0.9034.h5"), "{said}");
    assert!(said.contains("facesearch models import") && said.contains("--as deepface"), "{said}");
}
