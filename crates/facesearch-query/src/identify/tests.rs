//! Ranking against the definition: measure every face, keep each identity's best, sort, cut.

use std::path::PathBuf;

use facesearch_core::{
    BoundingBox, Contract, DetectedFace, FaceId, FaceView, Landmarks, Metric, ThresholdSource, TopK,
};
use proptest::{collection::vec, prelude::*};

use super::*;

/// The smallest gallery that honours the contract: a full scan over a list.
struct Memory {
    contract: Contract,
    vectors: Vec<Vec<f32>>,
    identities: Vec<Option<u32>>,
    labels: Vec<String>,
}

impl Memory {
    fn new(faces: Vec<(Vec<f32>, Option<u32>)>) -> Self {
        let labels = (0..10).map(|i| format!("person {i}")).collect();
        let (vectors, identities) = faces.into_iter().unzip();
        let contract = Contract {
            model: "fake".into(),
            weights: String::new(),
            dimension: 3,
            metric: Metric::L2,
            threshold: Some(0.55),
            detector: "fake".into(),
            min_face: 1,
            preprocessing: "none".into(),
            precision: "f32".into(),
        };
        Self { contract, vectors, identities, labels }
    }
}

impl Gallery for Memory {
    fn contract(&self) -> &Contract {
        &self.contract
    }
    fn generation(&self) -> u64 {
        1
    }
    fn len(&self) -> usize {
        self.vectors.len()
    }
    fn photo_count(&self) -> usize {
        self.len().div_ceil(2)
    }
    fn identity_count(&self) -> usize {
        self.labels.len()
    }
    fn fingerprint(&self) -> u64 {
        1
    }
    fn verify(&self) -> Result<(), GalleryError> {
        Ok(())
    }
    fn search(&self, request: &SearchRequest<'_>) -> Result<Vec<Candidates>, GalleryError> {
        let may_be_found = |row: &Row| request.among.is_none_or(|among| among.contains(*row));
        let nearest = |probe: &Embedding| {
            let mut top = TopK::new(request.k);
            for row in (0..self.len() as u32).map(Row).filter(may_be_found) {
                top.push((distance(probe.as_slice(), self.vector(row)), row));
            }
            let rows = top.into_sorted().into_iter().map(|(_, row)| row).collect();
            Candidates { rows, exact: true, examined: self.len() as u64 }
        };
        Ok(request.probes.iter().map(nearest).collect())
    }
    fn vector(&self, row: Row) -> &[f32] {
        &self.vectors[row.0 as usize]
    }
    fn face(&self, row: Row) -> FaceView {
        FaceView {
            id: FaceId(row.0.into()),
            photo: PhotoIndex(row.0 / 2), // two faces a photo
            identity: self.identities[row.0 as usize].map(IdentityIndex),
            face: DetectedFace {
                bbox: BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 },
                score: 1.0,
                landmarks: Landmarks([[0.0; 2]; 5]),
            },
            quality: None,
        }
    }
    fn identity(&self, index: IdentityIndex) -> &str {
        &self.labels[index.0 as usize]
    }
    fn find_identity(&self, label: &str) -> Option<IdentityIndex> {
        self.labels.iter().position(|l| l == label).map(|i| IdentityIndex(i as u32))
    }
    fn rows_of(&self, index: IdentityIndex) -> Vec<Row> {
        let is_one = |row: &u32| self.identities[*row as usize] == Some(index.0);
        (0..self.len() as u32).filter(is_one).map(Row).collect()
    }
    fn photo_path(&self, index: PhotoIndex) -> PathBuf {
        format!("{}.jpg", index.0).into()
    }
}

fn probe(values: &[f32]) -> Embedding {
    Embedding::new(values.to_vec(), Metric::L2).unwrap()
}

fn within(l2: f32) -> Threshold {
    Threshold::new(l2, ThresholdSource::Given).unwrap()
}

/// The answer for one probe.
fn ask(gallery: &Memory, at: &[f32], k: usize, threshold: &Threshold) -> Answer {
    let answers =
        identify(gallery, &SearchRequest::new(&[probe(at)], k), Judge::by_distance(threshold));
    answers.unwrap().remove(0)
}

proptest! {
    #[test]
    fn agrees_with_measuring_everything(
        faces in vec((vec(0u8..4, 3), proptest::option::of(0u32..6)), 0..60),
        at in vec(0u8..4, 3),
        k in 0usize..9,
        threshold in 0.0f32..3.0,
    ) {
        // Whole numbers make ties common.
        let faces: Vec<_> = faces
            .into_iter()
            .map(|(v, who)| (v.into_iter().map(f32::from).collect::<Vec<_>>(), who))
            .collect();
        let at: Vec<f32> = at.into_iter().map(f32::from).collect();
        let gallery = Memory::new(faces.clone());
        let threshold = within(threshold);
        let answer = ask(&gallery, &at, k, &threshold);

        let measured: Vec<(f64, usize, Option<u32>)> = faces
            .iter()
            .enumerate()
            .map(|(row, (v, who))| {
                let d: f64 = v.iter().zip(&at).map(|(a, b)| f64::from(a - b).powi(2)).sum();
                (d.sqrt(), row, *who)
            })
            .collect();
        let within = |d: f64| d as f32 <= threshold.l2();
        let mut want: Vec<(f64, usize, usize)> = Vec::new();
        for &(d, row, who) in &measured {
            let mates: Vec<_> = match who {
                Some(_) => measured.iter().filter(|m| m.2 == who).collect(),
                None => vec![&measured[row]],
            };
            let is_best = mates.iter().all(|m| (d, row) <= (m.0, m.1));
            if is_best {
                let mut photos: Vec<usize> =
                    mates.iter().filter(|m| within(m.0)).map(|m| m.1 / 2).collect();
                photos.dedup();
                want.push((d, row, photos.len()));
            }
        }
        want.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let decision = if want.first().is_some_and(|w| within(w.0)) {
            Decision::Match
        } else {
            Decision::Unknown
        };
        want.truncate(k);

        prop_assert_eq!(answer.decision, decision);
        prop_assert_eq!(answer.candidates.len(), want.len());
        for (got, (d, row, support)) in answer.candidates.iter().zip(want) {
            prop_assert_eq!(got.row.0 as usize, row);
            prop_assert!((f64::from(got.distance.get()) - d).abs() < 1e-5);
            prop_assert_eq!(got.support, support);
        }
    }
}

proptest! {
    #[test]
    fn many_together_are_answered_as_each_alone(
        faces in vec((vec(0u8..4, 3), proptest::option::of(0u32..6)), 0..60),
        probes in vec(vec(0u8..4, 3), 0..9),
        left_out in vec(any::<bool>(), 60),
        filtered in any::<bool>(),
        k in 0usize..9,
    ) {
        let floats = |v: Vec<u8>| v.into_iter().map(f32::from).collect::<Vec<_>>();
        let gallery = Memory::new(faces.into_iter().map(|(v, who)| (floats(v), who)).collect());
        let probes: Vec<_> = probes.into_iter().map(|v| probe(&floats(v))).collect();
        let mut among = RowSet::all(gallery.len());
        among.retain(|row| !left_out[row.0 as usize]);
        let among = filtered.then_some(&among);
        let together = SearchRequest { among, ..SearchRequest::new(&probes, k) };
        let answers = identify(&gallery, &together, Judge::by_distance(&within(0.55))).unwrap();
        prop_assert_eq!(answers.len(), probes.len());
        for (probe, got) in probes.chunks(1).zip(answers) {
            let alone = SearchRequest { probes: probe, ..together };
            let want = identify(&gallery, &alone, Judge::by_distance(&within(0.55))).unwrap();
            prop_assert_eq!(vec![got], want);
        }
    }
}

#[test]
fn one_person_with_many_photos_does_not_hide_the_next() {
    let mut faces = vec![(vec![0.0, 0.0, 0.0], Some(0)); 5_000];
    faces.push((vec![1.0, 0.0, 0.0], Some(1)));
    let answer = ask(&Memory::new(faces), &[0.0; 3], 2, &within(0.55));
    let names: Vec<_> = answer.candidates.iter().map(|c| c.name).collect();
    assert_eq!(names, [0, 1].map(|i| CandidateName::Identity(IdentityIndex(i))));
    assert_eq!(answer.candidates[0].support, 2_500);
}

#[test]
fn an_empty_gallery_knows_nobody() {
    let answer = ask(&Memory::new(vec![]), &[0.0; 3], 5, &within(0.55));
    assert_eq!((answer.decision, answer.candidates.len()), (Decision::Unknown, 0));
}

#[test]
fn a_photo_against_itself_is_at_zero_and_a_threshold_of_zero_accepts_it() {
    let gallery = Memory::new(vec![(vec![0.1, 0.2, 0.3], Some(0)), (vec![0.1, 0.2, 0.4], Some(1))]);
    let answer = ask(&gallery, &[0.1, 0.2, 0.3], 5, &within(0.0));
    assert_eq!(answer.decision, Decision::Match);
    assert_eq!(answer.candidates[0].distance.get(), 0.0);
    assert_eq!(answer.candidates[1].support, 0);
}
