//! `facesearch cluster`: people whom nobody named.

use crate::support::{
    Dice, Made, crowd, index_of, json_lines, published, run_for, scratch, stderr, text,
};

#[test]
fn groups_are_people_and_names_that_are_there_hold() {
    let dir = scratch();
    let (index, mut dice) = (dir.path().join("index"), Dice(5));
    let mut faces = crowd(40, 5, &mut dice);
    let truth: Vec<String> = faces.iter().map(|face| face.identity.clone().unwrap()).collect();
    // Two photos of person 3 are named.
    for (place, face) in faces.iter_mut().enumerate() {
        face.identity = matches!(place, 15 | 16).then(|| "Anna".into());
    }
    index_of(&index, &faces);
    let before = published(&index);
    let at = ["--threshold", "0.85", "--index", text(&index)];
    let groups = json_lines(&run_for(0, &[&["cluster", "--json"][..], &at].concat()));
    assert_eq!(groups.len(), 40);
    for group in &groups {
        let members = group["faces"].as_array().unwrap();
        let people: std::collections::BTreeSet<&String> =
            members.iter().map(|face| &truth[face["face"].as_u64().unwrap() as usize]).collect();
        assert_eq!((people.len(), members.len()), (1, 5));
        assert_eq!(group["name"] == "Anna", group["known"] == true);
    }
    assert!(published(&index) == before, "looking changes nothing");

    run_for(0, &[&["cluster", "--write"][..], &at].concat());
    let judged = json_lines(&run_for(0, &[&["cluster", "--judge", "--json"][..], &at].concat()));
    assert_eq!((&judged[0]["faces"], &judged[0]["precision"]), (&200.into(), &1.0.into()));
    let listed = json_lines(&run_for(0, &["identity", "list", "--json", "--index", text(&index)]));
    assert_eq!(listed.len(), 40);
    assert!(listed.iter().all(|person| person["faces"] == 5));
    // Incremental: new faces of the same people join them, and nothing else moves.
    let again = run_for(0, &[&["cluster", "--write"][..], &at].concat());
    assert!(stderr(&again).contains("its name already"), "{}", stderr(&again));
    run_for(0, &["identity", "undo", "--index", text(&index)]);
    assert!(published(&index) == before);
}

#[test]
fn two_faces_of_one_photo_are_two_people() {
    let dir = scratch();
    let (index, mut dice) = (dir.path().join("index"), Dice(6));
    let mut faces: Vec<Made> = crowd(1, 4, &mut dice);
    faces.extend(crowd(30, 2, &mut dice));
    faces.iter_mut().for_each(|face| face.identity = None);
    faces[1].photo = faces[0].photo.clone();
    index_of(&index, &faces);
    let at = ["--threshold", "0.85", "--index", text(&index)];
    let groups =
        json_lines(&run_for(0, &[&["cluster", "--json", "--min-size", "1"][..], &at].concat()));
    let group_of = |face: u64| {
        groups.iter().position(|group| {
            group["faces"].as_array().unwrap().iter().any(|member| member["face"] == face)
        })
    };
    assert_ne!(group_of(0), group_of(1));
    assert!(group_of(2) == group_of(0) || group_of(2) == group_of(1));
}
