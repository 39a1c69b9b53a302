//! The people of an index: its faces in clusters, each with a name.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use facesearch_core::{
    BoundingBox, Embedding, FaceId, Gallery, Judgement, Judgements, Metric, Row, SearchRequest,
    squared_distance,
};
use serde::Serialize;

use super::false_discovery::FalseDiscovery;
use super::linkage::cluster_at_false_discovery_rate;
use super::{Clusters, Constraints, Graph, LinkageOptions, STRICTER, Vectors, cluster};
use crate::PeopleError;

/// Up to this many faces all pairs are compared. Above, the index proposes the neighbours.
const EXACT_UP_TO: usize = 150_000;

/// The share of the pairs within the threshold that may be of two people. Average linkage then
/// keeps about half of those apart.
const FALSE_DISCOVERY_RATE: f64 = 0.015;

/// How near two clusters must be on average to be one person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClusterThreshold {
    /// This L2 distance.
    Fixed(f32),
    /// A distance that follows from the faces: the larger the index, the smaller, so that few pairs
    /// of two people are within it. At most 0.9 of the model's threshold, which is given (L2).
    FromModel(f32),
}

/// How to cluster the faces of an index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterOptions {
    /// How many neighbours of each face are compared; 16 or more miss few merges.
    pub neighbours: usize,
    /// How near two clusters must be.
    pub threshold: ClusterThreshold,
    /// Whether to use what is known: the faces of one name are one person, those of two names are
    /// two, and so are two faces of one photo. A face that was denied to be of a name is not in a
    /// cluster with that name.
    pub use_names: bool,
}

/// Clusters the faces of `gallery`, which must have been verified.
///
/// # Errors
///
/// [`PeopleError::Option`] where the threshold is negative or not finite; [`PeopleError::Gallery`]
/// where the judgements are damaged, or where the search for neighbours fails, in a gallery of more
/// than 150,000 faces.
pub fn cluster_gallery(
    gallery: &dyn Gallery,
    options: &ClusterOptions,
) -> Result<Clusters, PeopleError> {
    let graph = neighbour_graph(gallery, options.neighbours)?;
    let constraints =
        if options.use_names { known_people(gallery)? } else { Constraints::default() };
    cluster_within(&gallery, &graph, &constraints, options.threshold)
}

/// Clusters embeddings that are in no index. `graph` is of the same vectors; panics where it is
/// not.
///
/// # Errors
///
/// [`PeopleError::Option`] where the threshold is negative or not finite.
pub fn cluster_vectors(
    vectors: &impl Vectors,
    graph: &Graph,
    threshold: ClusterThreshold,
) -> Result<Clusters, PeopleError> {
    cluster_within(vectors, graph, &Constraints::default(), threshold)
}

fn cluster_within(
    vectors: &impl Vectors,
    graph: &Graph,
    constraints: &Constraints,
    threshold: ClusterThreshold,
) -> Result<Clusters, PeopleError> {
    match threshold {
        ClusterThreshold::Fixed(threshold) => {
            cluster(vectors, graph, constraints, &LinkageOptions::new(threshold))
        }
        ClusterThreshold::FromModel(model_threshold) => {
            let options = LinkageOptions::new(STRICTER * model_threshold);
            let limit = FalseDiscovery { model_threshold, rate: FALSE_DISCOVERY_RATE };
            cluster_at_false_discovery_rate(vectors, graph, constraints, &options, &limit)
        }
    }
}

fn neighbour_graph(gallery: &dyn Gallery, k: usize) -> Result<Graph, PeopleError> {
    if gallery.len() <= EXACT_UP_TO {
        Ok(Graph::exact(&gallery, k))
    } else {
        graph_by_search(gallery, k)
    }
}

/// The graph of the nearest rows that the gallery's search finds.
fn graph_by_search(gallery: &dyn Gallery, k: usize) -> Result<Graph, PeopleError> {
    Graph::from_index(gallery.len(), k, |row| {
        let own = gallery.vector(Row(row as u32));
        // The rows are scaled already where the metric wants it.
        let probe = Embedding::new(own.to_vec(), Metric::L2)?;
        let found = gallery.search(&SearchRequest::new(&[probe], k + 1))?;
        let rows = found.into_iter().flat_map(|found| found.rows);
        let mut near: Vec<(f64, u32)> = rows
            .map(|other| (squared_distance(own, gallery.vector(other)), other.0))
            .filter(|(_, other)| *other as usize != row)
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Ok(near.into_iter().take(k).map(|(_, other)| other).collect())
    })
}

/// What the index knows: who the named faces are, who a face is not, and that nobody is in one
/// photo twice.
fn known_people(gallery: &dyn Gallery) -> Result<Constraints, PeopleError> {
    let mut person = Vec::with_capacity(Gallery::len(gallery));
    let mut photos: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for row in 0..gallery.len() {
        let face = gallery.face(Row(row as u32));
        person.push(face.identity.map(|identity| identity.0));
        photos.entry(face.photo.0).or_default().push(row);
    }
    let mut different = Vec::new();
    for rows in photos.values() {
        for (i, a) in rows.iter().enumerate() {
            // Two faces of one photo may have one name, as in a collage. The name counts.
            let has_other_name = |b: &usize| person[*a].is_none() || person[*a] != person[*b];
            let others = rows[i + 1..].iter().copied().filter(has_other_name);
            different.extend(others.map(|b| (*a, b)));
        }
    }
    different.extend(denied_pairs(gallery, &gallery.judgements()?, &person));
    Ok(Constraints { same: Vec::new(), different, person })
}

/// Each denied face with a face of the name: cannot-links. The faces of a name are one cluster from
/// the start, so one of them is enough.
fn denied_pairs(
    gallery: &dyn Gallery,
    judgements: &Judgements,
    person: &[Option<u32>],
) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (row, own) in person.iter().enumerate() {
        for (name, judgement) in judgements.of(gallery.face(Row(row as u32)).id) {
            if judgement == Judgement::Denied
                && let Some(identity) = gallery.find_identity(name)
                // A face that has the name all the same would contradict itself.
                && *own != Some(identity.0)
                && let Some(first) = gallery.rows_of(identity).first()
            {
                pairs.push((row, first.0 as usize));
            }
        }
    }
    pairs
}

/// A cluster with a name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The name of a face in it; where none has one, a free name such as `Person 3`.
    pub name: String,
    /// Whether that name is in the index.
    pub known: bool,
    /// Its faces, in the order of the index.
    pub faces: Vec<Member>,
}

/// A face of a [`Group`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// The face.
    pub face: FaceId,
    /// The path of its photo, with what is not UTF-8 replaced.
    pub photo: String,
    /// Whether it has a name in the index.
    pub named: bool,
    /// Where it is in the photo.
    #[serde(rename = "box")]
    pub bbox: BoundingBox,
}

/// The clusters with at least `min_size` faces, the largest first, each with a name.
///
/// `clusters` must be of `gallery`, which must have been verified. A free name is one that nobody
/// has, and that no face was denied to have. **Trap:** a cluster made without names may hold faces
/// of several names. The group then has that of its first named face.
///
/// # Errors
///
/// [`PeopleError::Gallery`] where the judgements are damaged.
pub fn name_groups(
    gallery: &dyn Gallery,
    clusters: &Clusters,
    min_size: usize,
) -> Result<Vec<Group>, PeopleError> {
    let judgements = gallery.judgements()?;
    let mut rows: Vec<Vec<Row>> = vec![Vec::new(); clusters.groups];
    for (row, group) in (0..).map(Row).zip(&clusters.group) {
        rows[*group as usize].push(row);
    }
    rows.retain(|rows| rows.len() >= min_size.max(1));
    rows.sort_by_key(|rows| (Reverse(rows.len()), rows[0]));
    let mut last_number = 0u64;
    let mut free_name = || {
        loop {
            last_number += 1;
            let name = format!("Person {last_number}");
            if gallery.find_identity(&name).is_none() && !judgements.has_name(&name) {
                return name;
            }
        }
    };
    let mut groups = Vec::with_capacity(rows.len());
    for rows in rows {
        let known = rows.iter().find_map(|row| gallery.face(*row).identity);
        let name = known.map(|identity| gallery.identity(identity).to_owned());
        groups.push(Group {
            name: name.unwrap_or_else(&mut free_name),
            known: known.is_some(),
            faces: rows.iter().map(|row| member(gallery, *row)).collect(),
        });
    }
    Ok(groups)
}

fn member(gallery: &dyn Gallery, row: Row) -> Member {
    let face = gallery.face(row);
    Member {
        face: face.id,
        photo: gallery.photo_path(face.photo).to_string_lossy().into_owned(),
        named: face.identity.is_some(),
        bbox: face.face.bbox,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Face, Memory};

    /// Two people of three faces each, and one face alone; nobody is named. Each person is an axis
    /// of its own, so the density is the same around all.
    fn two_people() -> Vec<Face> {
        let places = [(0, 0.0), (0, 0.1), (1, 0.0), (1, 0.1), (0, 0.3), (1, 0.3), (2, 0.0)];
        let face = |(photo, (axis, offset)): (u32, (usize, f32))| {
            let mut vector = vec![0.0, 0.0, 0.0, offset];
            vector[axis] = 5.0;
            Face { vector, name: None, photo }
        };
        (0..).zip(places).map(face).collect()
    }

    fn groups(faces: Vec<Face>, use_names: bool) -> Vec<(String, bool, Vec<u64>)> {
        groups_of(&Memory::new(faces), use_names)
    }

    fn groups_of(gallery: &Memory, use_names: bool) -> Vec<(String, bool, Vec<u64>)> {
        let threshold = ClusterThreshold::Fixed(1.0);
        let options = ClusterOptions { neighbours: 6, threshold, use_names };
        let clusters = cluster_gallery(gallery, &options).unwrap();
        let ids = |group: &Group| group.faces.iter().map(|member| member.face.0).collect();
        let groups = name_groups(gallery, &clusters, 2).unwrap();
        groups.iter().map(|group| (group.name.clone(), group.known, ids(group))).collect()
    }

    #[test]
    fn groups_get_the_name_that_is_in_them_or_a_free_one() {
        let mut faces = two_people();
        faces[6].name = Some("Person 1");
        let unnamed = groups(faces.clone(), true);
        let want = [("Person 2", false, vec![0, 1, 4]), ("Person 3", false, vec![2, 3, 5])];
        assert_eq!(unnamed, want.map(|(name, known, rows)| (name.to_owned(), known, rows)));
        faces[3].name = Some("Anna");
        let named = groups(faces, true);
        assert_eq!((&*named[1].0, named[1].1), ("Anna", true));
    }

    #[test]
    fn two_names_and_two_faces_of_one_photo_are_two_people_unless_names_are_not_used() {
        let mut faces = two_people();
        (faces[0].name, faces[1].name) = (Some("Anna"), Some("Berta"));
        faces[3].photo = faces[2].photo;
        let rows = |use_names| -> Vec<Vec<u64>> {
            groups(faces.clone(), use_names).into_iter().map(|(_, _, rows)| rows).collect()
        };
        let together = |rows: &[Vec<u64>], a, b| {
            rows.iter().any(|rows| rows.contains(&a) && rows.contains(&b))
        };
        let (with, without) = (rows(true), rows(false));
        assert!(!together(&with, 0, 1) && !together(&with, 2, 3), "{with:?}");
        assert!(together(&without, 0, 1) && together(&without, 2, 3), "{without:?}");
    }

    #[test]
    fn a_denied_face_is_in_no_group_of_that_name() {
        let mut faces = two_people();
        faces[0].name = Some("Anna");
        let named = |gallery: &Memory, use_names| -> Vec<Vec<u64>> {
            let groups = groups_of(gallery, use_names).into_iter();
            groups.filter(|(name, ..)| name == "Anna").map(|(_, _, rows)| rows).collect()
        };
        let mut gallery = Memory::new(faces);
        assert_eq!(named(&gallery, true), [[0, 1, 4]]);
        gallery.judgements.set(FaceId(4), "Anna", Some(Judgement::Denied));
        gallery.judgements.set(FaceId(4), "Person 1", Some(Judgement::Denied));
        assert_eq!(named(&gallery, true), [[0, 1]]);
        assert_eq!(named(&gallery, false), [[0, 1, 4]]);
        // The other group gets a name that no face was denied to have.
        assert_eq!(groups_of(&gallery, true)[0].0, "Person 2");
    }

    #[test]
    fn an_exact_search_gives_the_exact_graph_and_a_failed_one_its_error() {
        let mut gallery = Memory::new(two_people());
        let exact = Graph::exact(&(&gallery as &dyn Gallery), 2);
        assert_eq!(graph_by_search(&gallery, 2).unwrap(), exact);
        gallery.is_damaged = true;
        assert!(matches!(graph_by_search(&gallery, 2), Err(PeopleError::Gallery(_))));
    }
}
