//! The library on real photos: the example of its documentation, and one distance everywhere.

use std::path::PathBuf;

use facesearch::{DecisionRule, Engine, Enrolment, Options, Reader, ThresholdChoice, Verdict};

use crate::support::{demo, json_lines, photo, run_for, scratch, text};

fn options() -> Options {
    Options {
        models: std::env::var_os("FACESEARCH_MODELS").map(PathBuf::from),
        ..Options::default()
    }
}

#[test]
fn the_example_of_the_documentation_runs_on_real_photos() {
    let dir = scratch();
    let index = dir.path().join("faces.index");
    let stranger = photo("astronaut.png");
    let mut engine = Engine::create(&index, options()).unwrap();
    let report = engine.index([demo().join("people")]).run().unwrap();
    assert!(report.failed == 0 && report.faces > 0);
    let before = engine.query(&stranger).k(5).run().unwrap();
    assert_eq!(before.faces[0].decision.verdict, Verdict::Unknown);
    engine.add(Enrolment::photo(&stranger).identity("Eileen Collins")).unwrap();
    for face in engine.query(&stranger).k(5).run().unwrap().faces {
        let said = face.decision.to_string();
        assert!(said.starts_with("Eileen Collins, distance 0.000 (within 0.55; "), "{said}");
    }
    let known = engine.query(photo("obama3.jpg")).run().unwrap();
    assert_eq!(known.faces[0].decision.identity.as_deref(), Some("Barack Obama"));
    // The store belongs to the engine until it is dropped, and readers elsewhere see it then.
    run_for(4, &["index", text(&demo().join("people")), "--index", text(&index)]);
    drop(engine);
    let answers = run_for(0, &["query", text(&stranger), "--json", "--index", text(&index)]);
    assert_eq!(json_lines(&answers)[0]["faces"][0]["identity"], "Eileen Collins");
}

#[test]
fn query_and_verify_read_the_same_distance_in_library_and_program() {
    let index = demo().join("index");
    let (new, known) = (photo("obama3.jpg"), photo("obama.jpg"));
    let reader = Reader::open(&index, options()).unwrap();
    let answer = reader.query(&new).run().unwrap();
    let nearest = &answer.faces[0].candidates[0];
    let evidence = PathBuf::from(&nearest.photo);
    let vision = reader.vision().unwrap();
    let threshold = reader.models().threshold(&ThresholdChoice::Own, vision.contract()).unwrap();
    let verified = vision.verify(&new, &evidence, threshold).unwrap();
    assert_eq!(verified.distance.get(), nearest.distance);
    let program = run_for(0, &["verify", text(&new), text(&evidence), "--json"]);
    let program = json_lines(&program)[0]["distance"].as_f64().unwrap();
    assert_eq!(program as f32, nearest.distance);
    assert!(known.is_file());
}

#[test]
fn errors_have_the_kind_that_the_exit_code_has() {
    use facesearch::ErrorCode;
    let dir = scratch();
    let code = |result: facesearch::Result<()>| result.unwrap_err().code();
    let missing = dir.path().join("missing");
    assert_eq!(code(Reader::open(&missing, options()).map(drop)), ErrorCode::Index);
    let reader = Reader::open(demo().join("index"), options()).unwrap();
    assert_eq!(code(reader.query(&missing).run().map(drop)), ErrorCode::Input);
    let calibrated = reader.query(&missing).rule(DecisionRule::Distance).fpir(0.01);
    assert_eq!(code(calibrated.run().map(drop)), ErrorCode::Index);
    let negative = reader.query(photo("obama3.jpg")).threshold(-1.0);
    assert_eq!(code(negative.run().map(drop)), ErrorCode::Usage);
}
