//! Publishing, opening and damage, with a store in memory.

use std::fs;
use std::path::{Path, PathBuf};

use facesearch_core::*;

use crate::files::FORMAT;
use crate::testing::{FakeStore, Random, clustered, oracle, photo_path, search};
use crate::{Snapshot, SnapshotPublisher};

fn publish(index: &Path, store: &FakeStore) -> Published {
    SnapshotPublisher::new(index).publish(store, true).unwrap()
}

/// Every file of the published generation and the manifest.
fn files(index: &Path) -> Vec<PathBuf> {
    let published = index.join("published");
    let generation = Snapshot::open(index).unwrap().generation();
    let mut files: Vec<_> = fs::read_dir(published.join(generation.to_string()))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.push(published.join("MANIFEST"));
    files
}

#[test]
fn what_is_published_is_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = FakeStore::with(5, &clustered(100, 5, 1));
    assert_eq!(publish(dir.path(), &store), Published { generation: 1, faces: 100 });
    let snapshot = Snapshot::open(dir.path()).unwrap();
    snapshot.verify().unwrap();
    assert_eq!(snapshot.contract(), store.contract());
    assert_eq!((snapshot.len(), snapshot.photo_count(), snapshot.identity_count()), (100, 50, 15));
    for (row, (record, vector)) in (0..).zip(store.faces.values()) {
        let view = snapshot.face(Row(row));
        assert_eq!(snapshot.vector(Row(row)), vector);
        assert_eq!((view.id, view.face, view.quality), (record.id, record.face, record.quality));
        assert_eq!(snapshot.photo_path(view.photo), photo_path(record.id.0 / 2));
        assert_eq!(view.identity.map(|i| snapshot.identity(i)), record.identity.as_deref());
        if let Some(identity) = view.identity {
            assert_eq!(snapshot.find_identity(snapshot.identity(identity)), Some(identity));
            assert!(snapshot.rows_of(identity).contains(&Row(row)));
        }
    }
    let labels: Vec<_> = (0..15).map(|i| snapshot.identity(IdentityIndex(i))).collect();
    assert!(labels.is_sorted());
    let rows: usize = (0..15).map(|i| snapshot.rows_of(IdentityIndex(i)).len()).sum();
    assert_eq!(rows, store.faces.values().filter(|(r, _)| r.identity.is_some()).count());
    assert_eq!(snapshot.find_identity("nobody"), None);
}

#[test]
fn the_ledger_is_published_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let store = FakeStore::with(3, &clustered(4, 3, 1));
    publish(dir.path(), &store);
    let snapshot = Snapshot::open(dir.path()).unwrap();
    let want: Vec<_> =
        store.files.iter().map(|(path, entry)| (path.clone(), entry.outcome.clone())).collect();
    assert_eq!(snapshot.ledger().unwrap(), want);
    let files = files(dir.path());
    let sizes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    let manifest = fs::metadata(files.last().unwrap()).unwrap().len();
    assert_eq!(snapshot.bytes_on_disk(), sizes - manifest);
}

#[test]
fn an_empty_store_and_a_single_face_are_published_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = FakeStore::new(3);
    publish(dir.path(), &store);
    let empty = Snapshot::open(dir.path()).unwrap();
    assert!(empty.is_empty());
    assert!(search(&empty, &[0.0; 3], 5, Effort::Balanced).is_empty());
    store.add(&[1.0, 2.0, 3.0]);
    publish(dir.path(), &store);
    let one = Snapshot::open(dir.path()).unwrap();
    assert_eq!(search(&one, &[0.0; 3], 5, Effort::Balanced), [0]);
    assert!(empty.is_empty(), "an open snapshot never changes");
}

#[test]
fn a_probe_of_another_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &FakeStore::with(5, &clustered(10, 5, 1)));
    let probe = Embedding::new(vec![1.0; 4], Metric::L2).unwrap();
    let error = Snapshot::open(dir.path()).unwrap().search(&SearchRequest::new(&[probe], 1));
    assert!(matches!(error, Err(GalleryError::Dimension { expected: 5, got: 4 })));
}

#[test]
fn nothing_published_is_no_index() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Snapshot::open(dir.path()), Err(GalleryError::NotFound { .. })));
    let gone = Snapshot::open(&dir.path().join("nowhere"));
    assert!(matches!(gone, Err(GalleryError::NotFound { .. })));
}

#[test]
fn the_same_content_publishes_the_same_bytes() {
    let vectors = clustered(300, 8, 2);
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    publish(dirs[0].path(), &FakeStore::with(8, &vectors));
    publish(dirs[1].path(), &FakeStore::with(8, &vectors[..50]));
    publish(dirs[1].path(), &FakeStore::with(8, &vectors));
    let [a, b] = dirs.each_ref().map(|dir| files(dir.path()));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b).filter(|(a, _)| !a.ends_with("MANIFEST")) {
        assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} differs", a.display());
    }
}

#[test]
fn two_generations_are_kept_and_what_a_killed_publisher_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = FakeStore::new(3);
    fs::create_dir_all(dir.path().join("published/7")).unwrap();
    for generation in 8..12 {
        store.add(&[1.0, 2.0, 3.0]);
        assert_eq!(publish(dir.path(), &store).generation, generation);
    }
    let mut names: Vec<_> = fs::read_dir(dir.path().join("published"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["10", "11", "MANIFEST"]);
}

#[test]
fn a_vector_that_is_no_embedding_is_not_published() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = FakeStore::with(2, &[vec![1.0, 2.0]]);
    publish(dir.path(), &store);
    store.add(&[f32::NAN, 1.0]);
    let error = SnapshotPublisher::new(dir.path()).publish(&store, true).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(Snapshot::open(dir.path()).unwrap().generation(), 1, "the old one still stands");
}

/// Opens and uses everything; what it finds, or the first error.
fn use_all(index: &Path, probes: &[Vec<f32>]) -> Result<Vec<String>, GalleryError> {
    let snapshot = Snapshot::open(index)?;
    let mut seen = vec![format!("{:?}", snapshot.contract())];
    for probe in probes {
        let probe = Embedding::new(probe.clone(), Metric::L2).unwrap();
        for effort in [Effort::Balanced, Effort::Exact] {
            let request = SearchRequest::new(std::slice::from_ref(&probe), 5).effort(effort);
            for row in snapshot.search(&request)?.remove(0).rows {
                let view = snapshot.face(row);
                let rows = view.identity.map(|i| (snapshot.identity(i), snapshot.rows_of(i)));
                let path = snapshot.photo_path(view.photo);
                seen.push(format!("{view:?} {rows:?} {path:?} {:?}", snapshot.vector(row)));
            }
        }
    }
    snapshot.verify()?;
    Ok(seen)
}

/// Damages each file of `store`'s snapshot at many places, one at a time.
fn damage_is_noticed(store: &FakeStore, probes: &[Vec<f32>], places: usize) {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), store);
    damage_of(dir.path(), probes, places);
}

/// Damages each file of a published snapshot.
fn damage_of(index: &Path, probes: &[Vec<f32>], places: usize) {
    let good = use_all(index, probes).unwrap();
    let mut random = Random(9);
    for file in files(index) {
        let bytes = fs::read(&file).unwrap();
        let check = |damaged: &[u8], what: String| {
            fs::remove_file(&file).unwrap();
            fs::write(&file, damaged).unwrap();
            match use_all(index, probes) {
                Err(GalleryError::Corrupt { .. }) => {}
                Err(error) => panic!("{} {what}: another error: {error}", file.display()),
                Ok(seen) if seen == good => panic!("{} {what}: not noticed", file.display()),
                Ok(_) => panic!("{} {what}: a wrong answer", file.display()),
            }
        };
        let ends = [0, bytes.len() - 1, bytes.len() / 2];
        for at in ends.into_iter().chain((0..places).map(|_| random.below(bytes.len()))) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            check(&flipped, format!("flipped at {at}"));
        }
        for len in ends.into_iter().chain((0..places / 4).map(|_| random.below(bytes.len()))) {
            check(&bytes[..len], format!("cut to {len}"));
        }
        let longer = [&bytes[..], &[0]].concat();
        check(&longer, "made longer".to_owned());
        fs::write(&file, &bytes).unwrap();
        assert_eq!(use_all(index, probes).unwrap(), good);
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    let vectors = clustered(400, 16, 3);
    damage_is_noticed(&FakeStore::with(16, &vectors), &vectors[..3], 150);
}

#[test]
fn a_missing_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &FakeStore::with(5, &clustered(10, 5, 1)));
    for file in files(dir.path()).into_iter().filter(|file| !file.ends_with("MANIFEST")) {
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let error = Snapshot::open(dir.path()).err().unwrap();
        assert!(matches!(error, GalleryError::Corrupt { .. }), "{error}");
        fs::write(&file, bytes).unwrap();
    }
}

#[test]
fn a_damaged_manifest_is_healed_by_publishing() {
    let dir = tempfile::tempdir().unwrap();
    let store = FakeStore::with(5, &clustered(10, 5, 1));
    publish(dir.path(), &store);
    fs::write(dir.path().join("published/MANIFEST"), "{}").unwrap();
    assert!(matches!(Snapshot::open(dir.path()), Err(GalleryError::Corrupt { .. })));
    assert_eq!(publish(dir.path(), &store).generation, 2);
    Snapshot::open(dir.path()).unwrap().verify().unwrap();
}

#[test]
fn a_future_format_is_named() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &FakeStore::new(5));
    let path = dir.path().join("published/MANIFEST");
    let text = fs::read_to_string(&path).unwrap();
    let (body, _) = text.split_once(",\"checksum\"").unwrap();
    let body = body.replace(&format!("\"format\":{FORMAT}"), "\"format\":77");
    let checksum = blake3::hash(body.as_bytes()).to_hex();
    fs::write(&path, format!("{body},\"checksum\":\"{checksum}\"}}\n")).unwrap();
    let error = Snapshot::open(dir.path()).err().unwrap();
    assert!(matches!(error, GalleryError::Format { found: 77, wanted: FORMAT, .. }), "{error}");
}

#[test]
fn readers_see_one_complete_state_while_others_are_published() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = clustered(120, 4, 4);
    publish(dir.path(), &FakeStore::with(4, &vectors[..1]));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let snapshot = Snapshot::open(dir.path()).unwrap();
                        let n = snapshot.len();
                        assert_eq!(snapshot.generation(), n as u64);
                        snapshot.verify().unwrap();
                        let found = search(&snapshot, &vectors[0], 7, Effort::Balanced);
                        assert_eq!(found, oracle(&vectors[..n], &vectors[0], 7));
                        seen += 1;
                    }
                    seen
                })
            })
            .collect();
        for n in 2..=vectors.len() {
            publish(dir.path(), &FakeStore::with(4, &vectors[..n]));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
}

/// Recall@10 of `effort` against the exact scan, over strangers and people who are there.
fn recall(snapshot: &Snapshot, effort: Effort) -> f64 {
    let strangers = clustered(100, snapshot.contract().dimension as usize, 555);
    let known = (0..100).map(|i| snapshot.vector(Row(i * snapshot.len() as u32 / 100)).to_vec());
    let mut hits = 0;
    for probe in strangers.into_iter().chain(known) {
        let want = search(snapshot, &probe, 10, Effort::Exact);
        let found = search(snapshot, &probe, 10, effort);
        assert_eq!(found.len(), 10);
        hits += want.iter().filter(|row| found.contains(row)).count();
    }
    hits as f64 / 2000.0
}

#[test]
fn the_default_effort_finds_99_of_100() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &FakeStore::with(64, &clustered(20_000, 64, 8)));
    let snapshot = Snapshot::open(dir.path()).unwrap();
    let certificates: Vec<_> = snapshot.certificates().collect();
    assert!(certificates.iter().all(|(_, c)| c.recall_at_10 >= 0.99), "{certificates:?}");
    let probe = Embedding::new(snapshot.vector(Row(5)).to_vec(), Metric::L2).unwrap();
    let request = SearchRequest::new(std::slice::from_ref(&probe), 10).effort(Effort::Fast);
    let found = snapshot.search(&request).unwrap().remove(0);
    assert!(!found.exact && found.examined < 8_000, "{found:?}: a graph was searched");
    let [balanced, high] = [Effort::Balanced, Effort::High].map(|e| recall(&snapshot, e));
    assert!(balanced >= 0.99 && high >= balanced, "{balanced}, {high}");
}

/// So many directions, all alike, that sketches are scanned.
const MANY: usize = 192;

#[test]
fn structures_follow_what_is_added_and_removed() {
    for dim in [12, MANY] {
        a_structure_follows(dim);
    }
}

fn a_structure_follows(dim: usize) {
    let dir = tempfile::tempdir().unwrap();
    let vectors = clustered(13_000, dim, 9);
    let mut store = FakeStore::with(dim, &vectors[..12_000]);
    publish(dir.path(), &store);
    let certificates: Vec<_> = Snapshot::open(dir.path()).unwrap().certificates().collect();
    assert!(certificates.iter().all(|(_, c)| c.scans == (dim == MANY)), "{certificates:?}");
    assert_eq!(files(dir.path()).iter().filter(|file| is_segment(file)).count(), 1);

    vectors[12_000..].iter().for_each(|vector| store.add(vector));
    for id in (0..12_500).step_by(7) {
        store.remove(id);
    }
    for last in [false, false, true] {
        SnapshotPublisher::new(dir.path()).publish(&store, last).unwrap();
        let snapshot = Snapshot::open(dir.path()).unwrap();
        snapshot.verify().unwrap();
        let ids: Vec<u64> =
            (0..snapshot.len() as u32).map(|row| snapshot.face(Row(row)).id.0).collect();
        assert!(ids.iter().copied().eq(store.faces.keys().map(|id| id.0)));
        // Each face that is there finds itself; one that was removed is found no more.
        for id in (0..13_000u64).step_by(131) {
            let found = search(&snapshot, &vectors[id as usize], 10, Effort::High);
            let found: Vec<u64> = found.into_iter().map(|row| ids[row as usize]).collect();
            assert_eq!(found.contains(&id), store.faces.contains_key(&FaceId(id)), "face {id}");
        }
        assert!(recall(&snapshot, Effort::Balanced) >= 0.985, "last: {last}");
    }
}

fn is_segment(file: &Path) -> bool {
    file.file_name().unwrap().to_str().unwrap().starts_with("segment")
}

#[test]
fn an_unchanged_structure_is_shared_between_generations() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = clustered(10_000, 4, 10);
    let mut store = FakeStore::with(4, &vectors);
    publish(dir.path(), &store);
    let segment = |dir: &Path| files(dir).into_iter().find(|file| is_segment(file)).unwrap();
    let first = fs::read(segment(dir.path())).unwrap();
    store.add(&vectors[3]);
    publish(dir.path(), &store);
    let path = segment(dir.path());
    assert!(fs::read(&path).unwrap() == first);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
    }
    // A damaged one is made anew, byte for byte.
    let mut damaged = first.clone();
    damaged[20_000] ^= 1;
    fs::write(&path, damaged).unwrap();
    publish(dir.path(), &store);
    assert!(fs::read(segment(dir.path())).unwrap() == first);
}

#[test]
fn a_directory_that_held_other_faces_gets_its_own_structures() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &FakeStore::with(4, &clustered(10_000, 4, 11)));
    let others = clustered(10_000, 4, 12);
    for last in [false, true] {
        SnapshotPublisher::new(dir.path()).publish(&FakeStore::with(4, &others), last).unwrap();
        assert!(recall(&Snapshot::open(dir.path()).unwrap(), Effort::Balanced) >= 0.985);
    }
}

#[test]
fn structures_are_the_same_bytes_however_the_index_grew() {
    let vectors = clustered(12_000, 6, 13);
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    publish(dirs[0].path(), &FakeStore::with(6, &vectors));
    for n in [10_500, 11_000, 12_000] {
        publish(dirs[1].path(), &FakeStore::with(6, &vectors[..n]));
    }
    let [a, b] = dirs.each_ref().map(|dir| files(dir.path()));
    assert!(a.iter().any(|file| is_segment(file)));
    for (a, b) in a.iter().zip(&b).filter(|(a, _)| !a.ends_with("MANIFEST")) {
        assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} differs", a.display());
    }
}

#[test]
fn every_damaged_byte_of_a_structure_is_noticed() {
    for dim in [4, MANY] {
        let vectors = clustered(10_000, dim, 14);
        let mut store = FakeStore::with(dim, &vectors);
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), &store);
        for id in (0..1_000).step_by(3) {
            store.remove(id);
        }
        SnapshotPublisher::new(dir.path()).publish(&store, false).unwrap();
        assert_eq!(files(dir.path()).len(), 8, "five tables, a segment, its row map, the manifest");
        damage_of(dir.path(), &vectors[..2], 10);
    }
}
