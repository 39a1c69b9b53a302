//! Doubtful names in an index, and pictures that are in it twice.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use facesearch_core::{FaceId, Gallery, IdentityIndex, Judgements, Row};
use serde::Serialize;

use crate::cluster::{Constraints, Graph, LinkageOptions, STRICTER, Vectors, cluster};
use crate::{PeopleError, distance};

/// How many nearest neighbours of each face are looked at.
const NEIGHBOURS: usize = 16;
/// A face is mislabelled only if this many of its nearest named neighbours agree on another name.
const AGREEING: usize = 3;
/// Two faces nearer than this part of the threshold are the same picture.
const SAME_PICTURE: f32 = 0.15;
/// At most this many faces of a name are listed.
const EXAMPLES: usize = 4;

/// What is doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A face that looks like another name than its own.
    Mislabelled,
    /// Two names whose faces look like one person.
    TwoNames,
    /// One name whose faces look like two people.
    TwoPeople,
    /// Two faces of different photos that are the same picture.
    Copy,
}

/// Something to look at, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What is doubtful.
    pub kind: FindingKind,
    /// The name in question; `None` where a face has none.
    pub identity: Option<String>,
    /// The name that the evidence is for; `None` where there is none.
    pub other: Option<String>,
    /// The smallest distance between the two sets of faces, L2.
    pub distance: f32,
    /// The faces in question: one face, up to four of a name, or the smaller part of a name with
    /// two people; of two parts, the one without confirmed faces.
    pub faces: Vec<FaceId>,
    /// The faces that are the evidence, up to four.
    pub evidence: Vec<FaceId>,
    /// The rows of `faces`, then those of `evidence`.
    #[serde(skip)]
    pub rows: Vec<Row>,
}

/// Looks for mislabelled faces, people with two names, names with two people, and copies.
///
/// - **Input:** `gallery` must have been verified. `threshold` is the largest L2 distance that
///   counts as the same person.
/// - **Output:** copies and mislabelled faces in the order of the index, then people with two
///   names, then names with two people.
/// - **Judgements:** a face that was confirmed is never in question, only evidence. A face that was
///   denied to be of a name is neither in question nor evidence for that name.
/// - **Cost:** all pairs of faces are compared, so time grows with the square of the gallery.
///
/// # Errors
///
/// [`PeopleError::Option`] where `threshold` is negative or not finite; [`PeopleError::Gallery`]
/// where the judgements are damaged.
pub fn audit(gallery: &dyn Gallery, threshold: f32) -> Result<Vec<Finding>, PeopleError> {
    let judgements = gallery.judgements()?;
    let audit = Audit { gallery, threshold, graph: Graph::exact(&gallery, NEIGHBOURS), judgements };
    let mut findings = Vec::new();
    for row in (0..gallery.len() as u32).map(Row) {
        let neighbours = audit.neighbours(row);
        audit.find_copies(row, &neighbours, &mut findings);
        findings.extend(audit.mislabelled(row, &neighbours));
    }
    findings.extend(audit.two_names()?);
    for name in (0..gallery.identity_count() as u32).map(IdentityIndex) {
        findings.extend(audit.two_people(name)?);
    }
    Ok(findings)
}

struct Audit<'a> {
    gallery: &'a dyn Gallery,
    threshold: f32,
    graph: Graph,
    judgements: Judgements,
}

impl Audit<'_> {
    /// The neighbours of a face with their distances, nearest first.
    fn neighbours(&self, row: Row) -> Vec<(f32, Row)> {
        let others = self.graph.neighbours(row.0 as usize).map(|other| Row(other as u32));
        let mut near: Vec<(f32, Row)> =
            others.map(|other| (distance(self.gallery, row, other), other)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near
    }

    /// Whether the face is of the person whose name it has, for sure.
    fn is_confirmed(&self, row: Row) -> bool {
        let face = self.gallery.face(row);
        let is_of = |name| self.judgements.is_confirmed(face.id, self.gallery.identity(name));
        face.identity.is_some_and(is_of)
    }

    /// Whether the face is not of this person, for sure.
    fn is_denied(&self, row: Row, name: IdentityIndex) -> bool {
        self.judgements.is_denied(self.gallery.face(row).id, self.gallery.identity(name))
    }

    fn find_copies(&self, row: Row, neighbours: &[(f32, Row)], findings: &mut Vec<Finding>) {
        let face = self.gallery.face(row);
        let limit = SAME_PICTURE * self.threshold;
        for (distance, other) in neighbours.iter().take_while(|(distance, _)| *distance < limit) {
            let copy = self.gallery.face(*other);
            if row >= *other || copy.photo == face.photo {
                continue;
            }
            let is_denied = |row, name: Option<_>| name.is_some_and(|n| self.is_denied(row, n));
            if is_denied(row, copy.identity) || is_denied(*other, face.identity) {
                continue;
            }
            let (mut names, mut rows) = ([face.identity, copy.identity], [row, *other]);
            // Of two pictures with two names, the one that was not confirmed is in question.
            if face.identity != copy.identity && self.is_confirmed(row) {
                if self.is_confirmed(*other) {
                    continue;
                }
                names.reverse();
                rows.reverse();
            }
            let rows = rows.map(|row| vec![row]);
            findings.push(self.finding(FindingKind::Copy, names, *distance, rows));
        }
    }

    /// The nearest named neighbours agree on another name, and no neighbour within the threshold
    /// has the face's own. Names that the face was denied to have do not count.
    fn mislabelled(&self, row: Row, neighbours: &[(f32, Row)]) -> Option<Finding> {
        let own = self.gallery.face(row).identity.filter(|_| !self.is_confirmed(row))?;
        let named: Vec<(f32, Row, IdentityIndex)> = neighbours
            .iter()
            .filter(|(distance, _)| *distance <= self.threshold)
            .filter_map(|(d, other)| Some((*d, *other, self.gallery.face(*other).identity?)))
            .filter(|(_, _, name)| !self.is_denied(row, *name))
            .collect();
        let nearest = named.get(..AGREEING)?;
        let (distance, _, other) = nearest[0];
        let do_agree = nearest.iter().all(|(_, _, name)| *name == other);
        if !do_agree || named.iter().any(|(_, _, name)| *name == own) {
            return None;
        }
        let evidence = nearest.iter().map(|(_, row, _)| *row).collect();
        let names = [Some(own), Some(other)];
        Some(self.finding(FindingKind::Mislabelled, names, distance, [vec![row], evidence]))
    }

    /// Names whose faces mostly fall into one cluster, where the clustering does not use names.
    fn two_names(&self) -> Result<Vec<Finding>, PeopleError> {
        let options = LinkageOptions::new(STRICTER * self.threshold);
        let clusters = cluster(&self.gallery, &self.graph, &Constraints::default(), &options)?;
        let mut by_cluster: BTreeMap<u32, BTreeMap<IdentityIndex, Vec<Row>>> = BTreeMap::new();
        for (row, group) in (0..).map(Row).zip(&clusters.group) {
            if let Some(name) = self.gallery.face(row).identity {
                by_cluster.entry(*group).or_default().entry(name).or_default().push(row);
            }
        }
        let mut findings = Vec::new();
        for names in by_cluster.into_values() {
            // A name with a single face in here is mislabelled, not a second name.
            let mostly_here = names
                .into_iter()
                .filter(|(name, rows)| 2 * rows.len() > self.gallery.rows_of(*name).len());
            for pair in mostly_here.collect::<Vec<_>>().windows(2) {
                let [one, other] = pair else { continue };
                findings.extend(self.one_person([one, other]));
            }
        }
        Ok(findings)
    }

    /// That two names with their faces look like one person, unless the faces of both are for sure
    /// whose they are.
    fn one_person(&self, names: [&(IdentityIndex, Vec<Row>); 2]) -> Option<Finding> {
        let [mut name, mut other] = names.map(|(name, _)| *name);
        let without_denied = |rows: &[Row], name| -> Vec<Row> {
            rows.iter().copied().filter(|row| !self.is_denied(*row, name)).collect()
        };
        let mut rows = without_denied(&names[0].1, other);
        let mut others = without_denied(&names[1].1, name);
        if rows.iter().all(|row| self.is_confirmed(*row)) {
            (name, other) = (other, name);
            (rows, others) = (others, rows);
        }
        let nearest = self.nearest(&rows, &others);
        rows.retain(|row| !self.is_confirmed(*row));
        if rows.is_empty() || others.is_empty() {
            return None;
        }
        let rows = [examples(&rows), examples(&others)];
        Some(self.finding(FindingKind::TwoNames, [Some(name), Some(other)], nearest, rows))
    }

    /// A name whose own faces fall into two clusters of several faces each.
    fn two_people(&self, name: IdentityIndex) -> Result<Option<Finding>, PeopleError> {
        let rows = self.gallery.rows_of(name);
        if rows.len() < 4 {
            return Ok(None);
        }
        let faces = FacesOf { gallery: self.gallery, rows: &rows };
        let graph = Graph::exact(&faces, NEIGHBOURS);
        // Without the local density: the faces of one person are no sample of other people.
        let options = LinkageOptions { density_weight: 0.0, ..LinkageOptions::new(self.threshold) };
        // What was confirmed is one person, and the rest is measured by it.
        let confirmed: Vec<usize> =
            (0..rows.len()).filter(|place| self.is_confirmed(rows[*place])).collect();
        let same = confirmed.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let known = Constraints { same, ..Constraints::default() };
        let clusters = cluster(&faces, &graph, &known, &options)?;
        let mut groups: Vec<Vec<Row>> = vec![Vec::new(); clusters.groups];
        for (row, group) in rows.iter().zip(&clusters.group) {
            groups[*group as usize].push(*row);
        }
        groups.retain(|group| group.len() >= 2);
        let is_known = |group: &[Row]| group.iter().any(|row| self.is_confirmed(*row));
        groups.sort_by_key(|group| Reverse((is_known(group), group.len())));
        let [largest, second, ..] = &groups[..] else { return Ok(None) };
        let nearest = self.nearest(largest, second);
        let rows = [second.clone(), examples(largest)];
        Ok(Some(self.finding(FindingKind::TwoPeople, [Some(name), None], nearest, rows)))
    }

    fn nearest(&self, rows: &[Row], others: &[Row]) -> f32 {
        let pairs = rows.iter().flat_map(|a| others.iter().map(move |b| (*a, *b)));
        pairs.map(|(a, b)| distance(self.gallery, a, b)).fold(f32::MAX, f32::min)
    }

    fn finding(
        &self,
        kind: FindingKind,
        names: [Option<IdentityIndex>; 2],
        distance: f32,
        rows: [Vec<Row>; 2],
    ) -> Finding {
        let [identity, other] =
            names.map(|name| name.map(|index| self.gallery.identity(index).to_owned()));
        let ids = |rows: &[Row]| rows.iter().map(|row| self.gallery.face(*row).id).collect();
        let (faces, evidence) = (ids(&rows[0]), ids(&rows[1]));
        Finding { kind, identity, other, distance, faces, evidence, rows: rows.concat() }
    }
}

fn examples(rows: &[Row]) -> Vec<Row> {
    rows.iter().take(EXAMPLES).copied().collect()
}

/// The faces of one name.
struct FacesOf<'a> {
    gallery: &'a dyn Gallery,
    rows: &'a [Row],
}

impl Vectors for FacesOf<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn vector(&self, row: usize) -> &[f32] {
        self.gallery.vector(self.rows[row])
    }
}

#[cfg(test)]
mod tests {
    use facesearch_core::Judgement;

    use super::*;
    use crate::testing::{Face, Memory};

    /// Six people as axes, each with a name and six faces near its axis.
    fn clean() -> Vec<Face> {
        let names = ["Anna", "Berta", "Carla", "Dora", "Emma", "Frida"];
        let face = |i: usize| {
            let mut vector = vec![0.0; 12];
            vector[i / 6] = 1.0;
            vector[6 + i % 6] = 0.2;
            Face { vector, name: Some(names[i / 6]), photo: i as u32 }
        };
        (0..36).map(face).collect()
    }

    fn found(faces: Vec<Face>) -> Vec<Finding> {
        audit(&Memory::new(faces), 0.6).unwrap()
    }

    /// What is found once these faces were judged.
    fn found_after(faces: Vec<Face>, judged: &[(u64, &str, Judgement)]) -> Vec<Finding> {
        let mut gallery = Memory::new(faces);
        for (face, name, judgement) in judged {
            gallery.judgements.set(FaceId(*face), name, Some(*judgement));
        }
        audit(&gallery, 0.6).unwrap()
    }

    fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
        findings.iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn clean_names_have_no_findings() {
        assert_eq!(found(clean()), []);
    }

    #[test]
    fn a_face_among_another_name_is_mislabelled() {
        let mut faces = clean();
        faces[0].name = Some("Berta");
        let findings = found(faces);
        assert_eq!(kinds(&findings), [FindingKind::Mislabelled]);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        let names = (finding.identity.as_deref(), finding.other.as_deref());
        assert_eq!(names, (Some("Berta"), Some("Anna")));
        assert_eq!((&finding.faces[..], finding.evidence.len()), (&[FaceId(0)][..], 3));
        assert!((finding.distance - 0.08_f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn a_person_with_two_names_and_a_name_with_two_people_are_found() {
        let mut faces = clean();
        faces[0..3].iter_mut().for_each(|face| face.name = Some("alias"));
        faces[30..36].iter_mut().for_each(|face| face.name = Some("Emma"));
        let findings = found(faces);
        assert_eq!(kinds(&findings), [FindingKind::TwoNames, FindingKind::TwoPeople]);
        let names = |i: usize| (findings[i].identity.as_deref(), findings[i].other.as_deref());
        assert_eq!(names(0), (Some("Anna"), Some("alias")));
        assert_eq!(names(1), (Some("Emma"), None));
        assert_eq!((findings[1].faces.len(), findings[1].evidence.len()), (6, 4));
    }

    #[test]
    fn judged_faces_are_not_in_question() {
        let mut faces = clean();
        faces[0].name = Some("Berta");
        // Either is enough: it is Berta, or it is not Anna.
        assert_eq!(found_after(faces.clone(), &[(0, "Berta", Judgement::Confirmed)]), []);
        assert_eq!(found_after(faces.clone(), &[(0, "Anna", Judgement::Denied)]), []);
        let other = found_after(faces, &[(0, "Carla", Judgement::Denied)]);
        assert_eq!(kinds(&other), [FindingKind::Mislabelled]);

        let mut faces = clean();
        faces[0..3].iter_mut().for_each(|face| face.name = Some("alias"));
        faces[30..36].iter_mut().for_each(|face| face.name = Some("Emma"));
        let all = |range: std::ops::Range<u64>, name, judgement| {
            range.map(move |face| (face, name, judgement))
        };
        // The alias is not Anna. Of the two who are called Emma, one of the later ones is.
        let mut judged: Vec<_> = all(0..3, "Anna", Judgement::Denied).collect();
        judged.push((31, "Emma", Judgement::Confirmed));
        let findings = found_after(faces.clone(), &judged);
        assert_eq!(kinds(&findings), [FindingKind::TwoPeople]);
        assert_eq!(findings[0].faces[0], FaceId(24));
        // What is confirmed is evidence, and once both sides are, nothing is in question.
        let mut judged: Vec<_> = all(3..6, "Anna", Judgement::Confirmed).collect();
        judged.push((24, "Emma", Judgement::Confirmed));
        let findings = found_after(faces.clone(), &judged);
        assert_eq!(kinds(&findings), [FindingKind::TwoNames, FindingKind::TwoPeople]);
        assert_eq!(findings[0].identity.as_deref(), Some("alias"));
        judged.extend(all(0..3, "alias", Judgement::Confirmed));
        judged.extend(all(24..36, "Emma", Judgement::Confirmed));
        assert_eq!(found_after(faces, &judged), []);
    }

    #[test]
    fn copies_of_a_denied_face_are_no_finding_and_of_two_names_the_confirmed_is_evidence() {
        let mut faces = clean();
        faces[1].vector = faces[0].vector.clone();
        faces[1].name = None;
        assert_eq!(found_after(faces.clone(), &[(1, "Anna", Judgement::Denied)]), []);
        let mut judged = vec![(0, "Anna", Judgement::Confirmed)];
        let of = |finding: &Finding| (finding.faces.clone(), finding.evidence.clone());
        let findings = found_after(faces.clone(), &judged);
        assert_eq!(of(&findings[0]), (vec![FaceId(1)], vec![FaceId(0)]));
        judged[0].1 = "Berta";
        let findings = found_after(faces, &judged);
        assert_eq!(of(&findings[0]), (vec![FaceId(0)], vec![FaceId(1)]));
    }

    #[test]
    fn a_copy_is_two_faces_at_one_place_in_two_photos() {
        let mut faces = clean();
        faces[1].vector = faces[0].vector.clone();
        faces[7].vector = faces[6].vector.clone();
        faces[7].photo = faces[6].photo;
        let findings = found(faces);
        assert_eq!(kinds(&findings), [FindingKind::Copy]);
        assert_eq!(findings[0].rows, [Row(0), Row(1)]);
    }

    #[test]
    fn findings_keep_their_json() {
        let mut faces = clean();
        faces[1].vector = faces[0].vector.clone();
        faces[1].name = None;
        let want = serde_json::json!([{
            "kind": "copy", "identity": "Anna", "other": null, "distance": 0.0,
            "faces": [0], "evidence": [1],
        }]);
        assert_eq!(serde_json::to_value(found(faces)).unwrap(), want);
    }
}
