//! An output file under way, and how a later run takes it up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, IntoInnerError, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use blake3::{Hash, Hasher};

use super::{Answers, Batch, Format, Images, table};
use crate::exit::{Failure, Unwritable};
use crate::printer::shown;
use crate::progress::Bar;

/// An output file under way: `FILE.partial`, renamed once complete, so that `FILE` is never half a
/// result. Beside it, `FILE.partial.state` counts the images whose answers are wholly in it, and
/// has a sum of their names.
pub(super) struct Partial {
    pub(super) path: PathBuf,
    state: PathBuf,
    pub(super) images: u64,
    bytes: u64,
    /// Of the names of those images.
    names: Hasher,
}

impl Partial {
    /// Takes up an earlier run's file where it was made with the same index and options and begins
    /// with the same images; gives all `images` back.
    pub(super) fn open(
        output: &Path,
        batch: &Batch,
        mut images: Images,
    ) -> anyhow::Result<(Self, Images)> {
        if output.is_dir() {
            return Err(Failure::usage(format!("{} is a folder; name a file", shown(output))));
        }
        let with = |suffix: &str| {
            let mut name = output.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (path, state) = (with(".partial"), with(".partial.state"));
        let earlier = fs::read_to_string(&state)
            .ok()
            .and_then(|text| {
                let (terms, counts) = text.split_once('\n')?;
                let mut counts = counts.split_whitespace();
                (terms == Self::terms(batch)).then_some(())?;
                let [images, bytes] = [counts.next()?.parse().ok()?, counts.next()?.parse().ok()?];
                Some((images, bytes, Hash::from_hex(counts.next()?).ok()?))
            })
            .filter(|(_, bytes, _)| fs::metadata(&path).is_ok_and(|meta| meta.len() >= *bytes));
        let done = earlier.map_or(0, |(images, ..)| images);
        let first: Vec<PathBuf> =
            images.by_ref().take(usize::try_from(done)?).collect::<anyhow::Result<_>>()?;
        let mut names = Hasher::new();
        first.iter().for_each(|image| add(&mut names, image));
        let same = earlier
            .filter(|(images, _, sum)| first.len() as u64 == *images && names.finalize() == *sum);
        let (done, bytes) = same.map_or((0, 0), |(images, bytes, _)| (images, bytes));
        if done == 0 {
            names.reset();
        }
        let images = Box::new(first.into_iter().map(Ok).chain(images));
        Ok((Self { path, state, images: done, bytes, names }, images))
    }

    /// What an answer depends on, besides its image.
    fn terms(batch: &Batch) -> String {
        format!("{:?} {}", batch.format, batch.search.terms())
    }

    /// Answers the images that are not in the file yet, and gives it its final name.
    pub(super) fn complete(
        self,
        output: &Path,
        images: Images,
        batch: &Batch,
        bar: &Bar,
    ) -> anyhow::Result<(u64, u64)> {
        let unwritable = Unwritable::file(&self.path);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(&unwritable)?;
        file.set_len(self.bytes).map_err(&unwritable)?;
        let failed_before = failures(&mut file, batch.format)?;
        file.seek(SeekFrom::End(0))?;
        let mut counting = Counting {
            file: BufWriter::new(file),
            path: &self.path,
            bytes: self.bytes,
            images: self.images,
            names: self.names,
            state: &self.state,
            terms: Self::terms(batch),
        };
        let (failed, done) = batch.run(images, &mut counting, self.images, bar)?;
        let written = counting.file.into_inner().map_err(IntoInnerError::into_error);
        written.and_then(|file| file.sync_all()).map_err(&unwritable)?;
        let mut complete = self.path.clone();
        if batch.format == Format::Parquet {
            complete.as_mut_os_string().push(".parquet");
            table::write_parquet(&self.path, &complete)?;
        }
        fs::rename(&complete, output).map_err(Unwritable::file(output))?;
        for done_with in [&self.state, &self.path] {
            let _ = fs::remove_file(done_with);
        }
        Ok((failed_before + failed, done))
    }
}

/// Adds an image's name to a sum of names.
fn add(sum: &mut Hasher, image: &Path) {
    sum.update(image.as_os_str().as_encoded_bytes()).update(&[0]);
}

/// How many images of an earlier run's lines could not be used.
fn failures(file: &mut File, format: Format) -> anyhow::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    let mut failed = 0;
    match format {
        Format::Jsonl => {
            let mut lines = BufReader::new(file);
            while lines.read_line(&mut text)? > 0 {
                let line: serde_json::Value = serde_json::from_str(&text)?;
                failed += u64::from(line.get("error").is_some());
                text.clear();
            }
        }
        Format::Csv | Format::Parquet => {
            let mut reader = csv::Reader::from_reader(BufReader::new(file));
            for row in reader.records() {
                failed += u64::from(&row?[table::DECISION] == "error");
            }
        }
    }
    Ok(failed)
}

/// Writes answers and, after each portion, the count of images that are wholly in the file.
struct Counting<'a> {
    file: BufWriter<File>,
    path: &'a Path,
    bytes: u64,
    images: u64,
    names: Hasher,
    state: &'a Path,
    terms: String,
}

impl Answers for Counting<'_> {
    fn head(&mut self, head: &[u8]) -> Result<(), Unwritable> {
        self.bytes += head.len() as u64;
        self.file.write_all(head).map_err(Unwritable::file(self.path))
    }

    fn answer(&mut self, image: &Path, answer: &[u8]) -> Result<(), Unwritable> {
        add(&mut self.names, image);
        self.images += 1;
        self.bytes += answer.len() as u64;
        self.file.write_all(answer).map_err(Unwritable::file(self.path))
    }

    fn flush(&mut self) -> Result<(), Unwritable> {
        self.file.flush().map_err(Unwritable::file(self.path))?;
        let temporary = self.state.with_extension("state.new");
        let Self { terms, images, bytes, names, .. } = self;
        let state = format!("{terms}\n{images} {bytes} {}\n", names.finalize());
        fs::write(&temporary, state).map_err(Unwritable::file(&temporary))?;
        fs::rename(&temporary, self.state).map_err(Unwritable::file(self.state))
    }
}
