//! Several models together: `eval ensemble` on pairs, and `--model a+b` from photos to answers.

use std::fmt::Write;
use std::fs;

use serde_json::Value;

use crate::eval::write_npy;
use crate::models::Models;
use crate::support::{
    Dice, demo, json_lines, photo, run_for, scratch, shared, stderr, stdout, text,
};

/// Two models that each see a person in a few numbers of their own, as files, with pairs to learn
/// from and pairs to judge.
fn two_models(dir: &std::path::Path) -> Vec<String> {
    let mut dice = Dice(7);
    let (mut names, mut one, mut other) = (String::new(), Vec::new(), Vec::new());
    for person in 0..300 {
        let centres = [dice.vector(6, 1.0), dice.vector(6, 1.0)];
        for photo in 0..2 {
            writeln!(names, "p{person}/{photo}.jpg").unwrap();
            for (rows, centre) in [(&mut one, &centres[0]), (&mut other, &centres[1])] {
                let near = dice.vector(6, 0.55);
                rows.push(centre.iter().zip(near).map(|(c, n)| c + n).collect::<Vec<f32>>());
            }
        }
    }
    let at = |name: &str| dir.join(name);
    write_npy(&at("one.npy"), &one);
    write_npy(&at("other.npy"), &other);
    fs::write(at("names.txt"), names).unwrap();
    for (file, from) in [("train.csv", 0), ("test.csv", 150)] {
        let mut pairs = String::from("a,b,same\n");
        for person in from..from + 150 {
            let stranger = from + (person - from + 1) % 150;
            writeln!(pairs, "p{person}/0.jpg,p{person}/1.jpg,1").unwrap();
            writeln!(pairs, "p{person}/0.jpg,p{stranger}/1.jpg,0").unwrap();
        }
        fs::write(at(file), pairs).unwrap();
    }
    let arguments = [
        "eval".into(),
        "ensemble".into(),
        text(&at("train.csv")).to_owned(),
        "--embeddings".into(),
        text(&at("one.npy")).to_owned(),
        "--embeddings".into(),
        text(&at("other.npy")).to_owned(),
        "--names".into(),
        text(&at("names.txt")).to_owned(),
        "--resamples".into(),
        "50".into(),
    ];
    arguments.to_vec()
}

fn contender<'a>(study: &'a Value, name: &str) -> &'a Value {
    let all = study["contenders"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}: {study}"))
}

#[test]
fn what_two_models_know_together_is_learnt_saved_and_judged_again() {
    let dir = scratch();
    let arguments = two_models(dir.path());
    let arguments: Vec<&str> = arguments.iter().map(|s| &**s).collect();
    let (test, saved) = (dir.path().join("test.csv"), dir.path().join("booster.txt"));
    let page = dir.path().join("page.html");
    let more = ["--test", text(&test), "--save", text(&saved), "--html", text(&page), "--json"];
    let study = &json_lines(&run_for(0, &[&arguments[..], &more].concat()))[0];
    assert_eq!((&study["train_pairs"], &study["test_pairs"]), (&300.into(), &300.into()));
    // Vectors that are not of unit length are compared in two ways.
    let names: Vec<_> =
        study["contenders"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    let wanted =
        ["one_l2", "one_cosine", "other_l2", "other_cosine", "equal parts", "blend", "booster"];
    assert_eq!(names, wanted);
    for ensemble in ["blend", "booster"] {
        let gain = contender(study, ensemble)["gain"].as_f64().unwrap();
        assert!(gain > 0.02, "{ensemble}: {study}");
    }
    assert!(crate::reports::page(&page).contains("equal parts"));
    // The saved one is the one that was judged.
    let again = ["--test", text(&test), "--booster", text(&saved), "--json"];
    let again = &json_lines(&run_for(0, &[&arguments[..], &again].concat()))[0];
    assert_eq!(contender(again, "booster"), contender(study, "booster"));
    // Without a list to test on, in folds.
    let said = stdout(&run_for(0, &arguments));
    assert!(said.contains("300 pairs judged in 10 folds"), "{said}");
    assert!(said.contains("the best single distance in training"), "{said}");
}

#[test]
fn distances_measured_elsewhere_are_judged_too() {
    let dir = scratch();
    let file = dir.path().join("distances.csv");
    let mut dice = Dice(3);
    let mut csv = String::from("near,far,truth\n");
    for i in 0..200 {
        let centre = if i % 2 == 0 { 0.6 } else { 1.0 };
        let truth = if i % 2 == 0 { "yes" } else { "no" };
        let mut number = |spread: f32| (centre + spread * dice.next()).max(0.0);
        writeln!(csv, "{},{},{truth}", number(0.3), number(0.6)).unwrap();
    }
    csv.push_str(",0.5,no\n");
    fs::write(&file, csv).unwrap();
    let arguments =
        ["eval", "ensemble", text(&file), "--columns", "near,far", "--same-column", "truth"];
    let said = stdout(&run_for(0, &arguments));
    assert!(said.contains("1 without all distances"), "{said}");
    assert!(said.contains("gain over near"), "{said}");
    let wrong =
        ["eval", "ensemble", text(&file), "--columns", "near,nearer", "--same-column", "truth"];
    assert!(stderr(&run_for(3, &wrong)).contains("no column `nearer`"));
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn the_published_booster_of_deepface_wants_what_it_names() {
    let booster = shared("data/deepface-pairs/boosted_lightface_7.txt");
    let pairs = shared("data/deepface-pairs/face-recognition-pivot.csv");
    let columns = ["--columns", "Facenet_cosine,VGG-Face_cosine", "--same-column", "decision"];
    let more = ["--test", text(&pairs), "--booster", text(&booster)];
    let said = run_for(3, &[&["eval", "ensemble", text(&pairs)], &columns[..], &more].concat());
    assert!(stderr(&said).contains("wants a feature `Facenet`"), "{}", stderr(&said));
}

#[test]
fn an_ensemble_needs_models_that_are_there() {
    let dir = scratch();
    let file = dir.path().join("pairs.csv");
    fs::write(&file, "a,b,same\nx.jpg,y.jpg,1\n").unwrap();
    let said = stderr(&run_for(2, &["eval", "ensemble", text(&file), "--model", "dlib"]));
    assert!(said.contains("several models"), "{said}");
    let (a, b) = (photo("obama.jpg"), photo("obama2.jpg"));
    for (model, why, code) in [
        ("dlib+dlib", "twice", 2),
        ("dlib@0+openface", "above 0", 2),
        ("dlib+nothing-of-the-kind", "nothing-of-the-kind", 6),
    ] {
        let said = stderr(&run_for(code, &["verify", "--model", model, text(&a), text(&b)]));
        assert!(said.contains(why), "{model}: {said}");
    }
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn two_models_index_and_answer_as_one() {
    let models = Models::new();
    models.import_retail();
    let dir = scratch();
    let (index, people) = (dir.path().join("index"), demo().join("people"));
    let run = |code, what: &[&str]| {
        models.run_for(code, &[what, &["--index", text(&index), "--offline"]].concat())
    };
    run(0, &["index", text(&people), "--model", "retail-0095@3+dlib@1"]);
    let said = stdout(&run(0, &["stats"]));
    assert!(said.contains("dlib@0.25+retail-0095@0.75 (384 numbers, l2, threshold 1)"), "{said}");
    // The query opens what the index is pinned to.
    let new = photo("obama3.jpg");
    let found = &json_lines(&run(0, &["query", text(&new), "--json"]))[0]["faces"][0];
    assert_eq!((&found["decision"], &found["identity"]), (&"match".into(), &"Barack Obama".into()));
    let evidence = found["candidates"][0]["photo"].as_str().unwrap();
    let batch = &json_lines(&run(0, &["batch", text(new.parent().unwrap())]));
    assert!(batch.iter().any(|line| line["faces"][0]["identity"] == "Barack Obama"), "{batch:?}");
    // The distance is made of what the models say alone.
    let alone = |model: &str| -> f64 {
        let arguments = ["verify", text(&new), evidence, "--model", model, "--json"];
        let said = models.run(&[&arguments[..], &["--offline"]].concat());
        let said = &json_lines(&said)[0];
        said["distance"].as_f64().unwrap() / said["threshold"].as_f64().unwrap()
    };
    let (dlib, retail) = (alone("dlib"), alone("retail-0095"));
    let want = (0.25 * dlib * dlib + 0.75 * retail * retail).sqrt();
    for got in [found["distance"].as_f64().unwrap(), alone("dlib@1+retail-0095@3")] {
        assert!((got - want).abs() < 1e-4, "{got} is not {want}");
    }
    // Other weights, another member or one model alone are other embeddings.
    for model in ["dlib+retail-0095", "dlib", "retail-0095"] {
        let said = stderr(&run(4, &["index", text(&people), "--model", model]));
        assert!(said.contains("dlib@0.25+retail-0095@0.75"), "{said}");
    }
    // However they are typed, the same models with the same weights are the same.
    run(0, &["index", text(&people), "--model", "dlib@10+retail-0095@30"]);
    let arguments =
        ["verify", text(&new), evidence, "--model", "dlib+retail-0095", "--metric", "cosine"];
    assert!(stderr(&models.run_for(2, &arguments)).contains("leave --metric out"));
    let said = stdout(&models.run_for(0, &["models", "show", "dlib@1+retail-0095@3"]));
    assert!(said.contains("0.750     retail-0095") && said.contains("dlib (recogniser"), "{said}");
    let json = json_lines(&models.run_for(0, &["models", "show", "dlib+retail-0095", "--json"]));
    assert_eq!((json.len(), &json[0]["parts"][0]["weight"]), (3, &0.5.into()));
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn photos_are_embedded_by_every_model_and_the_blend_is_told_as_an_index() {
    let models = Models::new();
    models.import_retail();
    let dir = scratch();
    let pairs = dir.path().join("pairs.csv");
    let list = "a,b,same\n\
                Barack Obama/obama.jpg,Barack Obama/obama2.jpg,1\n\
                Barack Obama/obama.jpg,Joe Biden/biden.jpg,0\n\
                Barack Obama/obama2.jpg,Joe Biden/biden.jpg,0\n";
    fs::write(&pairs, list).unwrap();
    let people = demo().join("people");
    let arguments = [
        "eval",
        "ensemble",
        text(&pairs),
        "--test",
        text(&pairs),
        "--root",
        text(&people),
        "--model",
        "dlib,retail-0095",
        "--resamples",
        "5",
        "--json",
    ];
    let study = &json_lines(&models.run_for(0, &arguments))[0];
    // dlib's vectors are longer than 1, so its cosine says something of its own.
    let names: Vec<_> =
        study["contenders"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names[..3], ["dlib_l2", "dlib_cosine", "retail-0095_l2"]);
    assert_eq!(contender(study, "blend")["accuracy"], 1.0);
    // What is said of an index holds in one: it parts the same pairs.
    let index = &study["index"];
    let (model, threshold) = (index["model"].as_str().unwrap(), index["threshold"].to_string());
    let root = ["--root", text(&people), "--threshold", &threshold, "--model", model];
    let judged = models.run_for(0, &[&["verify", "--pairs", text(&pairs)][..], &root].concat());
    assert_eq!(json_lines(&judged).last().unwrap()["accuracy"], 1.0);
}
