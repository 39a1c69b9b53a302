//! Files that claim more than they hold, and small ones that become large: each ends soon, in rows
//! or in an error, and takes no more memory than its length is worth.
//!
//! Alone in its file, because the allocator that counts is the whole process's.

#![expect(clippy::print_stdout, reason = "a test says what it measured, or why it was skipped")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use facesearch_exchange::{Columns, Format, Row, Writer, read, read_names, read_one};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// One test at a time: what the other one allocates would count too.
static ALONE: Mutex<()> = Mutex::new(());

/// No file here may keep a reader busy for longer.
const SOON: Duration = Duration::from_secs(20);

/// What a reader may take beyond a multiple of the file's length: a Parquet file's pages, or a line
/// of CSV in all its forms.
const SLACK: usize = 100 << 20;

/// Bytes held at most during `work`, beyond those held before; and what it gave.
fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let given = work();
    (ALLOCATED.peak_usage().saturating_sub(before), given)
}

/// Lets no panic be printed that becomes an error: finding its place in the source takes memory.
fn hush_caught_panics() {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !facesearch_core::is_panic_caught() {
                print(panic);
            }
        }));
    });
}

fn alone<T>(test: impl FnOnce(&Path) -> T) -> T {
    hush_caught_panics();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().expect("a folder");
    test(dir.path())
}

/// Reads every row of a file: how many there are, or what is wrong with the first that is no row.
fn rows(path: &Path) -> Result<usize, String> {
    let said = |error: facesearch_exchange::ExchangeError| error.to_string();
    let format = Format::of(path).map_err(said)?;
    let mut count = 0;
    for row in read(path, format, &Columns::default()).map_err(said)? {
        row.map_err(said)?;
        count += 1;
    }
    Ok(count)
}

/// Reads a file within the bounds of time and memory.
fn check(path: &Path) -> Result<usize, String> {
    let length = std::fs::metadata(path).expect("a file").len() as usize;
    let start = Instant::now();
    let (taken, read) = peak(|| rows(path));
    let (name, time) = (path.display(), start.elapsed());
    assert!(time < SOON, "{name}: {time:?}");
    assert!(taken <= SLACK + 40 * length, "{name}: {taken} bytes for a file of {length}");
    read
}

/// A file of these bytes.
fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// The error that such a file ends in.
fn error_of(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = file(dir, name, bytes);
    let error = check(&path).expect_err(name);
    println!("{name}, {} bytes: {error}", bytes.len());
    error
}

/// A NumPy array with this header, which is not padded.
fn array(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x02\0".to_vec();
    bytes.extend((header.len() as u32).to_le_bytes());
    [&bytes, header.as_bytes(), data].concat()
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
}

#[test]
fn headers_of_arrays_are_read_in_no_time_however_deep() {
    alone(|dir| {
        for depth in [1, 10, 18, 24, 100, 2_000, 1_000_000] {
            let open: String = "[{(".chars().cycle().take(depth).collect();
            for (descr, shape) in
                [(format!("'{open}'"), "(1,)"), (open.clone(), "(1,)"), ("'<f4'".into(), &*open)]
            {
                let bytes = array(&header(&descr, shape), &[0; 16]);
                let error = error_of(dir, "deep.npy", &bytes);
                assert!(error.contains("header") || error.contains("type"), "{error}");
                let path = file(dir, "deep.npy", &bytes);
                let stream = std::fs::File::open(&path).expect("a file");
                assert!(read_one(stream, &path).is_err());
            }
        }
        let mut endless = b"\x93NUMPY\x02\0".to_vec();
        endless.extend(u32::MAX.to_le_bytes());
        assert!(error_of(dir, "long.npy", &endless).contains("at most"));
    });
}

#[test]
fn arrays_that_claim_any_size_are_cut_short() {
    alone(|dir| {
        for shape in
            ["(1152921504606846976, 4)", "(4, 1152921504606846976)", "(18446744073709551615,)"]
        {
            for descr in ["'<f2'", "'<f4'", "'>f8'"] {
                let error = error_of(dir, "huge.npy", &array(&header(descr, shape), &[0; 64]));
                assert!(error.contains("cut short") || error.contains("not 1 to"), "{error}");
            }
        }
        for descr in ["'<U0'", "'|S0'"] {
            let bytes = array(&header(descr, "(1152921504606846976,)"), b"");
            let path = file(dir, "names.npy", &bytes);
            let (taken, names) = peak(|| read_names(&path));
            assert!(names.is_err() && taken < SLACK);
        }
        for descr in ["'<U1'", "'|S1'", "'<i8'", "'|u1'"] {
            let bytes = array(&header(descr, "(1152921504606846976,)"), &[1; 4000]);
            let path = file(dir, "names.npy", &bytes);
            let (taken, names) = peak(|| read_names(&path));
            assert!(names.is_err() && taken < SLACK);
        }
    });
}

/// An archive of arrays, each as its header and what its data are made of again and again.
fn archive(members: &[(&str, String, Vec<u8>, usize)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .large_file(true);
    for (name, header, data, times) in members {
        zip.start_file(format!("{name}.npy"), options).expect("memory");
        zip.write_all(&array(header, b"")).expect("memory");
        (0..*times).for_each(|_| zip.write_all(data).expect("memory"));
    }
    zip.finish().expect("memory").into_inner()
}

#[test]
fn archives_that_swell_take_a_row_at_a_time() {
    alone(|dir| {
        let vectors = |rows: usize, dim: usize| {
            let shape = format!("({rows}, {dim})");
            ("embeddings", header("'<f4'", &shape), vec![0; 4 * dim], rows)
        };
        for (descr, item) in [("'<i8'", 8), ("'<U8'", 32), ("'|S64'", 64)] {
            let names = |count: usize| {
                let data = vec![0; item << 10];
                ("names", header(descr, &format!("({count},)")), data, count >> 10)
            };
            let bytes = archive(&[vectors(3, 4), names(8 << 20)]);
            assert!(bytes.len() < 1 << 20);
            let error = error_of(dir, "bomb.npz", &bytes);
            assert!(error.contains("8388608 names") && error.contains("3 vectors"), "{error}");
        }
        let claims = ("names", header("'<U0'", "(1152921504606846976,)"), vec![], 0);
        assert!(
            error_of(dir, "claims.npz", &archive(&[vectors(3, 4), claims])).contains("0 bytes")
        );
        // As many names as vectors, of which neither is held.
        let names = ("names", header("'<U16'", "(262144,)"), [b'a', 0, 0, 0].repeat(16 << 10), 256);
        let bytes = archive(&[vectors(262_144, 4), names]);
        assert_eq!(check(&file(dir, "even.npz", &bytes)), Ok(262_144));
        // A row of a gigabyte.
        let bytes = archive(&[vectors(2, 1 << 28)]);
        assert!(error_of(dir, "wide.npz", &bytes).contains("not 1 to"));
    });
}

#[test]
fn lines_and_vectors_without_end_are_errors() {
    alone(|dir| {
        let long = "1,".repeat(20 << 20);
        assert!(error_of(dir, "long.csv", long.as_bytes()).contains("a line has more than"));
        let quoted = format!("1,2\n\"{}", "3,4\n".repeat(10 << 20));
        assert!(error_of(dir, "quoted.csv", quoted.as_bytes()).contains("a line has more than"));
        let name = format!("name,0\n{},1\n", "a".repeat(100_000));
        assert!(error_of(dir, "name.csv", name.as_bytes()).contains("a name of 100000 bytes"));
        let path = Path::new("/dev/zero");
        if path.exists() {
            let stream = std::fs::File::open(path).expect("a device");
            let (taken, rows) = peak(|| {
                read_one(stream, path).and_then(|rows| rows.collect::<Result<Vec<Row>, _>>())
            });
            assert!(rows.is_err() && taken < SLACK, "{taken}");
        }
        for length in [i32::MAX, 1 << 20, 1 << 24, -1, 0] {
            let bytes = [&length.to_le_bytes()[..], &[0; 100]].concat();
            error_of(dir, "long.fvecs", &bytes);
        }
        let path = file(dir, "names", "x".repeat(50 << 20).as_bytes());
        let (taken, names) = peak(|| read_names(&path));
        assert!(names.is_err() && taken < 4 << 20, "{taken}");
    });
}

#[test]
fn pickles_that_share_their_parts_are_errors() {
    alone(|dir| {
        for opcodes in [&b"]"[..], b"}", b"N", b"(", b")", b"K\x01", b"h\x00", b"]\x94", b"(t"] {
            let bytes = [b"\x80\x02]q\x00(", &opcodes.repeat(4 << 20)[..], b"e."].concat();
            error_of(dir, "many.pkl", &bytes);
        }
        // One embedding for many faces, and one dict.
        let mut shared = b"\x80\x02]q\x00(".to_vec();
        shared.extend(b"U\x01aq\x01](");
        shared.extend(b"G\0\0\0\0\0\0\0\0".repeat(50_000));
        shared.extend(b"eq\x02\x86q\x03");
        shared.extend(b"h\x03".repeat(50_000));
        shared.extend(b"e.");
        assert!(error_of(dir, "shared.pkl", &shared).contains("share their parts"));
        let far = [&b"\x80\x02Nr"[..], &u32::MAX.to_le_bytes(), b"."].concat();
        assert!(error_of(dir, "far.pkl", &far).contains("remembers too much"));
        let text = [&b"\x80\x04\x8d"[..], &u64::MAX.to_le_bytes(), b"."].concat();
        assert!(error_of(dir, "text.pkl", &text).contains("ends early"));
    });
}

#[test]
fn tables_of_runs_are_errors_before_they_are_unrolled() {
    use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    alone(|dir| {
        // Constant numbers in lists, which runs make small: in one list, or in many.
        for per_list in [512, 1 << 22] {
            let path = dir.join("runs.parquet");
            let schema = "message faces {
                required group embedding (LIST) { repeated group list { required float element; } }
            }";
            let schema = parse_message_type(schema).expect("a schema").into();
            let file = std::fs::File::create(&path).expect("a file");
            let properties = WriterProperties::builder().build().into();
            let mut writer = SerializedFileWriter::new(file, schema, properties).expect("a writer");
            let numbers = vec![0.5f32; 1 << 22];
            let (defs, reps): (Vec<i16>, Vec<i16>) =
                (0..numbers.len()).map(|i| (1, i16::from(i % per_list > 0))).unzip();
            let mut group = writer.next_row_group().expect("a group");
            let mut column = group.next_column().expect("a column").expect("a column");
            for _ in 0..20 {
                let typed = column.typed::<FloatType>();
                typed.write_batch(&numbers, Some(&defs), Some(&reps)).expect("written");
            }
            column.close().expect("written");
            group.close().expect("written");
            writer.close().expect("written");
            let error = check(&path).expect_err("it is unrolled");
            println!("{} bytes: {error}", std::fs::metadata(&path).expect("a file").len());
            assert!(error.contains("allows") || error.contains("at most"), "{error}");
        }
        // One long name for many faces.
        let path = dir.join("names.parquet");
        let schema = "message faces { required binary name (UTF8); required float x; }";
        let schema = parse_message_type(schema).expect("a schema").into();
        let file = std::fs::File::create(&path).expect("a file");
        let properties = WriterProperties::builder().build().into();
        let mut writer = SerializedFileWriter::new(file, schema, properties).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        let mut column = group.next_column().expect("a column").expect("a column");
        let names = vec![ByteArray::from("n".repeat(900_000).into_bytes()); 4096];
        column.typed::<ByteArrayType>().write_batch(&names, None, None).expect("written");
        column.close().expect("written");
        let mut column = group.next_column().expect("a column").expect("a column");
        column.typed::<FloatType>().write_batch(&[1.0; 4096], None, None).expect("written");
        column.close().expect("written");
        group.close().expect("written");
        writer.close().expect("written");
        assert!(check(&path).expect_err("a long name").contains("a name of 900000 bytes"));
    });
}

#[test]
fn what_other_programs_wrote_is_damaged_everywhere() {
    alone(|dir| {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/exchange");
        for name in [
            "f4.npy",
            "plain.npz",
            "packed.npz",
            "list.parquet",
            "wide.parquet",
            "vectors.fvecs",
            "deepface.pkl",
            "deepface_old.pkl",
            "frame.csv",
        ] {
            let whole = std::fs::read(samples.join(name)).expect("a sample");
            assert_eq!(check(&file(dir, name, &whole)), Ok(9), "{name}");
            let (mut refused, mut tried) = (0, 0);
            for at in (0..whole.len()).step_by(1 + whole.len() / 1_500) {
                for change in [0x01, 0x80, 0xFF] {
                    let mut bytes = whole.clone();
                    bytes[at] ^= change;
                    tried += 1;
                    refused += usize::from(check(&file(dir, name, &bytes)).is_err());
                }
                let _ = check(&file(dir, name, &whole[..at]));
            }
            println!("{name}: {refused} of {tried} refused");
            assert!(refused > 0, "{name}");
        }
    });
}

#[test]
fn what_is_written_here_is_read_whatever_its_size() {
    alone(|dir| {
        for format in ["npy", "npz", "parquet", "fvecs", "csv"] {
            for (rows, dim) in [(1, 4096), (5_000, 3), (3, 50_000)] {
                let path = dir.join(format!("all.{format}"));
                let format = Format::of(&path).expect("a format");
                let mut writer = Writer::create(&path, format, dim, rows).expect("a writer");
                for i in 0..rows {
                    // Constant, which runs make small.
                    let row = Row { vector: vec![1.0; dim], id: Some(i), ..Row::default() };
                    writer.push(&row).expect("written");
                }
                writer.finish().expect("written");
                assert_eq!(check(&path), Ok(rows as usize), "{format:?} {rows}x{dim}");
            }
        }
    });
}

#[test]
fn files_that_broke_it_before_end_soon() {
    alone(|dir| {
        let Some(shared) = std::env::var_os("FACESEARCH_SHARED") else {
            println!("skipped: FACESEARCH_SHARED names no folder with breaking files");
            return;
        };
        let folder = Path::new(&shared).join("data/breaking");
        for name in ["deep24.npy", "U0names.npz", "names-1e9-ints.npz", "bomb2.parquet"] {
            let bytes = std::fs::read(folder.join(name)).expect("a breaking file");
            error_of(dir, name, &bytes);
        }
    });
}
