//! Files whose checksums are right and whose contents lie: an error or an answer, never a panic.
//!
//! What a careless tool or an enemy writes is not told by checksums, which anybody can compute.

use std::fs;
use std::path::Path;

use facesearch_core::*;

use crate::files::{BLOCK, DataFile, FileSeal, Header, Kind, Mapped, block_sum, u32_at};
use crate::manifest::{Manifest, PUBLISHED, generation_dir};
use crate::segment::{Proposal, Segment, write_segment};
use crate::tables::NO_ROW;
use crate::testing::{FakeStore, Random, clustered};
use crate::{Snapshot, SnapshotPublisher};

/// Writes `data` with checksums that are right.
fn seal(path: &Path, data: &[u8]) -> FileSeal {
    let sums: Vec<u8> = data.chunks(BLOCK).flat_map(block_sum).collect();
    // A new file, for the old one may have other names.
    let _ = fs::remove_file(path);
    fs::write(path, [data, &sums[..]].concat()).unwrap();
    FileSeal { data: data.len() as u64, sums: blake3::hash(&sums).to_hex().to_string() }
}

/// A segment to be forged, and what is asked of it.
struct Forgery {
    dir: tempfile::TempDir,
    whole: Vec<u8>,
    n: usize,
    probes: Vec<Vec<f32>>,
}

impl Forgery {
    fn new(n: usize, dim: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vectors = clustered(n, dim, 5);
        let path = dir.path().join("segment");
        let file = DataFile::create(path.clone()).unwrap();
        let seal = write_segment(file, n, dim, |i| &vectors[i]).unwrap();
        let whole = fs::read(&path).unwrap()[..seal.data as usize].to_vec();
        let probes = vectors.iter().step_by(n / 12).cloned().chain(clustered(12, dim, 6)).collect();
        Self { dir, whole, n, probes }
    }

    /// The segment with these bytes, and with this file of rows if there is one.
    fn open(&self, data: &[u8], rows: Option<&[u32]>) -> Result<Segment, GalleryError> {
        let path = self.dir.path().join("forged");
        let sealed = seal(&path, data);
        let file = Mapped::open(&path, Kind::Segment, &sealed)?;
        let Some(rows) = rows else {
            return Segment::new(file, 0..self.n as u32, None);
        };
        let path = self.dir.path().join("rows");
        let _ = fs::remove_file(&path);
        let mut map = DataFile::create(path.clone()).unwrap();
        map.write(bytemuck::cast_slice(rows)).unwrap();
        let header = Header { kind: Kind::RowMap, count: rows.len() as u64, extra: 0 };
        let map = Mapped::open(&path, Kind::RowMap, &map.seal(header).unwrap())?;
        let present = rows.iter().filter(|row| **row != NO_ROW).count() as u32;
        Segment::new(file, 0..present, Some(map))
    }

    /// Asks in every way. Rows that are found are there, whatever was forged.
    fn ask(&self, segment: &Segment) -> Result<(), GalleryError> {
        let embed = |probe: &Vec<f32>| Embedding::new(probe.clone(), Metric::L2).unwrap();
        let probes: Vec<Embedding> = self.probes.iter().map(embed).collect();
        let mut even = RowSet::none(self.n);
        (0..self.n as u32).step_by(2).for_each(|row| even.insert(Row(row)));
        let mut proposals = Vec::new();
        let mut ask = |request: SearchRequest<'_>| {
            let first = proposals.len();
            proposals.resize_with(first + request.probes.len(), Proposal::default);
            segment.search(&request, &mut proposals[first..])
        };
        for probe in probes.chunks(1) {
            for effort in [Effort::Fast, Effort::High, Effort::List(self.n)] {
                let request = SearchRequest::new(probe, 5).effort(effort);
                ask(request)?;
                ask(request.among(&even))?;
            }
        }
        ask(SearchRequest::new(&probes, 3))?;
        let rows: Vec<u32> = proposals.into_iter().flat_map(|proposal| proposal.rows).collect();
        assert!(rows.iter().all(|row| (*row as usize) < self.n), "a row that is not there");
        segment.rows().try_for_each(|row| row.map(drop))
    }

    /// Whether it is noticed when everything is checked; that nothing panics before and after.
    fn is_noticed(&self, data: &[u8], rows: Option<&[u32]>) -> bool {
        let segment = match self.open(data, rows) {
            Ok(segment) => segment,
            Err(error) => return is_corrupt(error),
        };
        // First block by block, then with every checksum known to be right.
        let asked = self.ask(&segment).is_err_and(is_corrupt);
        let checked = segment.check_all().is_err_and(is_corrupt);
        let asked_again = self.ask(&segment).is_err_and(is_corrupt);
        assert!(!asked || asked_again, "noticed once and then no more");
        assert!(!asked || checked, "noticed by a search and not by a check of everything");
        checked
    }

    /// The numbers of the header by their place, after the common header.
    fn number(&self, i: usize) -> usize {
        u32_at(&self.whole, Header::LEN + 4 * i) as usize
    }
}

fn is_corrupt(error: GalleryError) -> bool {
    assert!(matches!(error, GalleryError::Corrupt { .. }), "{error}");
    true
}

fn put(data: &mut [u8], at: usize, bytes: &[u8]) {
    data[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A graph, and sketches.
fn both() -> [Forgery; 2] {
    let both = [Forgery::new(1_100, 12), Forgery::new(1_100, 192)];
    assert_eq!(both.each_ref().map(|of| of.number(15) > 0), [false, true], "which has sketches");
    both
}

#[test]
fn a_segment_that_is_as_it_was_written_is_good() {
    for forgery in both() {
        assert!(!forgery.is_noticed(&forgery.whole, None));
        let rows: Vec<u32> = (0..forgery.n as u32).collect();
        assert!(!forgery.is_noticed(&forgery.whole, Some(&rows)));
    }
}

#[test]
fn any_number_of_a_segments_header_may_lie() {
    for forgery in both() {
        for i in 0..48 {
            for lie in [0, 1, 2, 3, 16, 255, 1 << 16, i32::MAX as u32, 0x7FC0_0000, u32::MAX] {
                let mut data = forgery.whole.clone();
                put(&mut data, Header::LEN + 4 * i, &lie.to_le_bytes());
                forgery.is_noticed(&data, None);
            }
        }
        for (place, lie) in [(16, 0), (16, 1), (16, u64::MAX), (24, 0), (24, u64::MAX)] {
            let mut data = forgery.whole.clone();
            put(&mut data, place, &u64::to_le_bytes(lie));
            forgery.is_noticed(&data, None);
        }
    }
}

#[test]
fn links_that_lead_nowhere_are_errors() {
    let forgery = Forgery::new(1_100, 12);
    let (dim, levels) = (forgery.number(0), forgery.number(1));
    assert!(levels >= 2, "there is no upper level to forge");
    let of_level = |level: usize| [32, 33].map(|i| forgery.number(i + 2 * level));
    // As `layout.rs` has it: no basis and no steps, three bytes a link.
    let mut at = (256 + 4 * dim + 4 * forgery.n).next_multiple_of(64);
    for level in 0..levels {
        let [nodes, degree] = of_level(level);
        // The first row is where every walk begins.
        for (place, lie) in [(0, nodes), (0, 0xFF_FFFE), (1, nodes + 63), (0, nodes + 64)] {
            let mut data = forgery.whole.clone();
            put(&mut data, at + 3 * place, &lie.to_le_bytes()[..3]);
            assert!(forgery.is_noticed(&data, None), "level {level}, link {place} to {lie}");
        }
        let mut random = Random(level as u64);
        for _ in 0..40 {
            let mut data = forgery.whole.clone();
            for _ in 0..100 {
                let lie = (random.next() as u32).to_le_bytes();
                put(&mut data, at + 3 * random.below(nodes * degree), &lie[..3]);
            }
            assert!(forgery.is_noticed(&data, None));
        }
        at += (3 * nodes * degree).next_multiple_of(64);
    }
}

#[test]
fn items_and_rows_that_are_not_there_are_errors() {
    for forgery in both() {
        let (n, dim) = (forgery.n as u32, forgery.number(0));
        let basis = if forgery.number(10) == 1 { 4 * dim * forgery.number(9) } else { 0 };
        let items = 256 + 4 * dim + basis + 4 * forgery.number(15);
        for lie in [n, n + 1, i32::MAX as u32, NO_ROW - 1, NO_ROW] {
            let mut data = forgery.whole.clone();
            (0..n as usize).for_each(|node| put(&mut data, items + 4 * node, &lie.to_le_bytes()));
            let segment = forgery.open(&data, None).unwrap();
            assert!(forgery.ask(&segment).is_err_and(is_corrupt), "item {lie}");
            let rows = vec![lie; n as usize];
            let segment = forgery.open(&forgery.whole, Some(&rows)).unwrap();
            let asked = forgery.ask(&segment);
            assert!(lie == NO_ROW || asked.is_err_and(is_corrupt), "row {lie}");
        }
        // One face for two nodes, and rows that go back and forth.
        let mut data = forgery.whole.clone();
        let first = data[items..items + 4].to_vec();
        put(&mut data, items + 4, &first);
        assert!(forgery.is_noticed(&data, None));
        let mut rows: Vec<u32> = (0..n).collect();
        rows.swap(3, 4);
        assert!(forgery.is_noticed(&forgery.whole, Some(&rows)));
        assert!(forgery.is_noticed(&forgery.whole, Some(&rows[1..])));
    }
}

#[test]
fn sketches_of_nobody_are_errors() {
    // Not a multiple of 16: the last block has places without a node.
    let forgery = Forgery::new(1_107, 192);
    assert!(forgery.number(15) > 0, "there are no sketches to forge");
    let mut data = forgery.whole.clone();
    // The squared lengths of the last block are before its weights.
    let squares = data.len() - 128;
    put(&mut data, squares + 4 * 15, &f32::NEG_INFINITY.to_le_bytes());
    let segment = forgery.open(&data, None).unwrap();
    assert!(forgery.ask(&segment).is_err_and(is_corrupt));
    assert!(forgery.is_noticed(&data, None));
    for lie in [f32::NAN, f32::INFINITY, -1.0] {
        let mut data = forgery.whole.clone();
        let start = data.len() / 2;
        data[start..].chunks_exact_mut(4).for_each(|four| four.copy_from_slice(&lie.to_le_bytes()));
        forgery.is_noticed(&data, None);
    }
}

/// A few faces, published, whose tables are forged one at a time.
struct Published {
    dir: tempfile::TempDir,
    vectors: Vec<Vec<f32>>,
    manifest: Manifest,
}

impl Published {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vectors = clustered(60, 6, 9);
        let store = FakeStore::with(6, &vectors);
        SnapshotPublisher::new(dir.path()).publish(&store, true).unwrap();
        let manifest = Manifest::read(dir.path()).unwrap();
        Self { dir, vectors, manifest }
    }

    /// Forges the table `name`, and says whether that is noticed by questions, by a check of the
    /// tables and by a check of everything.
    fn forge(&self, name: &str, lie: impl Fn(&mut Vec<u8>)) -> [bool; 3] {
        let index = self.dir.path();
        let mut manifest = self.manifest.clone();
        let of_table = match name {
            "vectors" => &mut manifest.vectors,
            "faces" => &mut manifest.faces,
            "photos" => &mut manifest.photos,
            "identities" => &mut manifest.identities,
            _ => &mut manifest.ledger,
        };
        let path = generation_dir(index, manifest.generation).join(name);
        let whole = fs::read(&path).unwrap();
        let mut data = whole[..of_table.data as usize].to_vec();
        lie(&mut data);
        *of_table = seal(&path, &data);
        fs::write(index.join(PUBLISHED).join("MANIFEST"), manifest.to_bytes()).unwrap();
        let noticed = match Snapshot::open(index) {
            Ok(snapshot) => {
                let asked = self.ask(&snapshot).is_err_and(is_corrupt);
                let tables = snapshot.verify_tables().is_err_and(is_corrupt);
                let whole = snapshot.verify().is_err_and(is_corrupt);
                assert!(whole || !(asked || tables), "{name}: a check of everything misses it");
                [asked, tables, whole]
            }
            Err(error) => [is_corrupt(error); 3],
        };
        fs::remove_file(&path).unwrap();
        fs::write(&path, whole).unwrap();
        noticed
    }

    /// Looks at all that questions lead to.
    fn ask(&self, snapshot: &Snapshot) -> Result<(), GalleryError> {
        for vector in &self.vectors {
            let probe = Embedding::new(vector.clone(), Metric::L2).unwrap();
            let request = SearchRequest::new(std::slice::from_ref(&probe), 60);
            let found = snapshot.search(&request.effort(Effort::Exact))?;
            for row in found.into_iter().flat_map(|found| found.rows) {
                let view = snapshot.face(row);
                snapshot.photo_path(view.photo);
                assert!(distance(vector, snapshot.vector(row)).get().is_finite());
                let Some(identity) = view.identity else { continue };
                snapshot.find_identity(snapshot.identity(identity));
                for row in snapshot.rows_of(identity) {
                    assert_eq!(snapshot.face(row).identity, Some(identity));
                }
            }
        }
        Ok(())
    }
}

#[test]
fn tables_that_lie_are_errors() {
    const RECORD: usize = 84;
    let published = Published::new();
    let forge = |name, lie: &dyn Fn(&mut Vec<u8>)| published.forge(name, lie);
    assert_eq!(forge("faces", &|_| {}), [false; 3]);
    let u32s = [60u32, 1 << 20, i32::MAX as u32, u32::MAX - 1];
    for lie in u32s {
        let photo =
            |data: &mut Vec<u8>| put(data, Header::LEN + 7 * RECORD + 8, &lie.to_le_bytes());
        assert_eq!(forge("faces", &photo), [true; 3], "photo {lie}");
        let who = |data: &mut Vec<u8>| put(data, Header::LEN + 7 * RECORD + 12, &lie.to_le_bytes());
        assert_eq!(forge("faces", &who), [true; 3], "identity {lie}");
        // The rows of identities are the last of their file.
        let row = |data: &mut Vec<u8>| {
            let end = data.len();
            put(data, end - 4, &lie.to_le_bytes());
        };
        assert_eq!(forge("identities", &row), [true; 3], "row {lie}");
    }
    // Another's face, and an id that leaves none for the next.
    let other = |data: &mut Vec<u8>| put(data, Header::LEN + 7 * RECORD + 12, &8u32.to_le_bytes());
    assert_eq!(forge("faces", &other), [true; 3]);
    let id = |data: &mut Vec<u8>| put(data, Header::LEN + 59 * RECORD, &u64::MAX.to_le_bytes());
    assert_eq!(forge("faces", &id), [false, true, true]);
    for number in [f32::NAN, f32::INFINITY] {
        let vector = |data: &mut Vec<u8>| put(data, Header::LEN + 24, &number.to_le_bytes());
        let [_, tables, whole] = forge("vectors", &vector);
        assert_eq!([tables, whole], [false, true], "{number}");
    }
}

#[test]
fn any_number_of_a_table_may_lie() {
    let (published, mut random) = (Published::new(), Random(7));
    for name in ["vectors", "faces", "photos", "identities", "ledger"] {
        for step in 0..60 {
            let at = random.next() as usize;
            let lie = [0u64, 1, u64::from(u32::MAX), u64::MAX, 1 << 40][step % 5].to_le_bytes();
            published.forge(name, |data| {
                let at = at % (data.len() - 8);
                put(data, at, &lie);
            });
            published.forge(name, |data| data.truncate(at % data.len()));
            published.forge(name, |data| data.extend(lie));
        }
    }
}
