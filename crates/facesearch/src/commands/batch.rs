//! `facesearch batch`: who is in each of these photos?

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use facesearch_core::{Gallery, Progress};

use crate::args::{Global, Search};
use crate::exit::{Exit, Failure};
use crate::judge::Judge;
use crate::open::{self, Vision};
use crate::page::Page;
use crate::printer::{Printer, count, shown};
use crate::progress::Bar;
use crate::report::ImageReport;

/// Say who is in each of many photos
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// A folder of photos, a file that lists one path a line, or `-` for such a list on stdin
    #[arg(value_name = "DIR|LIST|-")]
    pub(crate) source: PathBuf,

    #[command(flatten)]
    pub(crate) search: Search,

    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub(crate) format: Format,

    /// Write to this file; an interrupted run goes on where it was (default: stdout)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// A page with the faces side by side; best for some hundreds of images
    #[arg(long, value_name = "FILE.html", conflicts_with = "output")]
    pub(crate) html: Option<PathBuf>,

    /// Paths in the list end with a NUL byte, as `find -print0` writes them
    #[arg(short = '0', long)]
    pub(crate) null: bool,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object per image and line
    Jsonl,
    /// One row per face
    Csv,
}

/// Exits with 0 once every image has its answer, with 5 where some could not be read.
pub(crate) fn run(args: &BatchArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let gallery = open::gallery(global)?;
    let (total, images) = images(args)?;
    let vision = open::vision_of(&gallery, global, out)?;
    let mut judge = Judge::new(&args.search, &gallery, global, out)?;
    judge.options.k = judge.options.k.max(1);
    let batch = Batch {
        vision: &vision,
        gallery: &gallery,
        judge,
        format: args.format,
        page: RefCell::new(Page::new("Who is in these photos?")),
        with_page: args.html.is_some(),
    };
    let bar = Bar::new(out.is_quiet());
    bar.start(total, "images");
    let (unreadable, done) = match &args.output {
        None => batch.run(images, &mut std::io::stdout().lock(), 0, &bar)?,
        Some(file) => {
            let partial = Partial::open(file, &batch)?;
            if partial.images > 0 {
                let so_far = count(partial.images, "image is", "images are");
                out.note(format!("{so_far} done already in {}", shown(&partial.path)));
            }
            partial.complete(file, images, &batch, &bar)?
        }
    };
    bar.finish();
    if let Some(file) = &args.html {
        batch.page.into_inner().write(file)?;
    }
    if unreadable > 0 {
        let of = count(done, "image", "images");
        out.note(format!("{unreadable} of {of} could not be used; their lines say why"));
    }
    Ok(if unreadable > 0 { Exit::SomeFailed } else { Exit::Success })
}

type Images = Box<dyn Iterator<Item = anyhow::Result<PathBuf>>>;

/// The images to look at, in order, and how many there are where that is known beforehand.
fn images(args: &BatchArgs) -> anyhow::Result<(Option<u64>, Images)> {
    if args.source.as_os_str() == "-" {
        return Ok((None, lines(BufReader::new(std::io::stdin()), args.null)));
    }
    if args.source.is_dir() {
        let photos = facesearch_indexer::photos_below(&args.source)?;
        return Ok((Some(photos.len() as u64), Box::new(photos.into_iter().map(Ok))));
    }
    let name = shown(&args.source);
    let file = File::open(&args.source).with_context(|| format!("cannot read {name}"))?;
    Ok((None, lines(BufReader::new(file), args.null)))
}

fn lines(reader: impl BufRead + 'static, null: bool) -> Images {
    let end = if null { 0 } else { b'\n' };
    let paths = reader.split(end).map(move |line| {
        let mut line = line.context("cannot read the list of images")?;
        if !null && line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(open::path_from_bytes(line))
    });
    Box::new(paths.filter(|path| path.as_ref().map_or(true, |p| !p.as_os_str().is_empty())))
}

/// What stays the same for all images.
struct Batch<'a> {
    vision: &'a Vision,
    gallery: &'a dyn Gallery,
    judge: Judge,
    /// What `--html` shows, where it is wanted.
    page: RefCell<Page>,
    with_page: bool,
    format: Format,
}

impl Batch<'_> {
    /// Answers `images` but for the first `skip`; gives how many could not be used, and how many
    /// there were.
    fn run(
        &self,
        images: Images,
        to: &mut dyn Write,
        skip: u64,
        bar: &Bar,
    ) -> anyhow::Result<(u64, u64)> {
        if self.format == Format::Csv && skip == 0 {
            to.write_all(&csv_rows(&[CSV_COLUMNS.map(String::from).to_vec()])?)?;
        }
        let (mut unreadable, mut done) = (0, 0);
        let mut images = images.skip(usize::try_from(skip)?).peekable();
        bar.advance(skip);
        while images.peek().is_some() {
            let portion: Vec<PathBuf> =
                images.by_ref().take(open::PORTION).collect::<anyhow::Result<_>>()?;
            let photos = self.vision.pipeline().probe_all(&portion, |path| open::read(path))?;
            let named = portion.iter().map(PathBuf::as_path).zip(photos);
            for report in ImageReport::of_photos(named, self.gallery, &self.judge)? {
                unreadable += u64::from(report.error.is_some());
                to.write_all(&self.line(&report)?)?;
                if self.with_page {
                    self.page.borrow_mut().answer(&report);
                }
            }
            to.flush()?;
            done += portion.len() as u64;
            bar.advance(portion.len() as u64);
        }
        Ok((unreadable, skip + done))
    }

    fn line(&self, report: &ImageReport) -> anyhow::Result<Vec<u8>> {
        match self.format {
            Format::Jsonl => {
                let mut line = serde_json::to_vec(report)?;
                line.push(b'\n');
                Ok(line)
            }
            Format::Csv => csv_rows(&face_rows(report)),
        }
    }
}

const CSV_COLUMNS: [&str; 13] = [
    "image", "face", "x", "y", "width", "height", "score", "decision", "identity", "distance",
    "photo", "support", "error",
];

/// One row per face; an image without one has a single row that says `no_face` or `error`.
fn face_rows(report: &ImageReport) -> Vec<Vec<String>> {
    let empty = |decision: &str| {
        let mut row = vec![String::new(); CSV_COLUMNS.len()];
        row[0] = report.image.clone();
        row[7] = decision.into();
        row
    };
    if let Some(error) = &report.error {
        let mut row = empty("error");
        row[12] = error.clone();
        return vec![row];
    }
    if report.faces.is_empty() {
        return vec![empty("no_face")];
    }
    let rows = report.faces.iter().enumerate().map(|(i, face)| {
        let mut row = empty(face.decision);
        let nearest = face.candidates.first();
        row[1] = (i + 1).to_string();
        let place = face.place.iter().flat_map(|place| {
            let b = place.bbox;
            [b.x, b.y, b.width, b.height, place.score]
        });
        for (cell, value) in row[2..7].iter_mut().zip(place) {
            *cell = value.to_string();
        }
        row[8] = face.identity.clone().unwrap_or_default();
        row[9] = face.distance.map(|d| d.to_string()).unwrap_or_default();
        row[10] = nearest.map(|c| c.photo.clone()).unwrap_or_default();
        row[11] = nearest.map(|c| c.support.to_string()).unwrap_or_default();
        row
    });
    rows.collect()
}

fn csv_rows(rows: &[Vec<String>]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| anyhow::anyhow!("cannot write csv: {error}"))
}

/// An output file under way: `FILE.partial`, renamed once complete, so that `FILE` is never half a
/// result. Beside it, `FILE.partial.state` counts the images whose answers are wholly in it.
struct Partial {
    path: PathBuf,
    state: PathBuf,
    images: u64,
    bytes: u64,
}

impl Partial {
    /// Takes up an earlier run's file where it was made with the same index and options.
    fn open(output: &Path, batch: &Batch<'_>) -> anyhow::Result<Self> {
        if output.is_dir() {
            return Err(Failure::usage(format!("{} is a folder; name a file", shown(output))));
        }
        let with = |suffix: &str| {
            let mut name = output.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (path, state) = (with(".partial"), with(".partial.state"));
        let (images, bytes) = fs::read_to_string(&state)
            .ok()
            .and_then(|text| {
                let (terms, counts) = text.split_once('\n')?;
                let (images, bytes) = counts.trim_end().split_once(' ')?;
                (terms == Self::terms(batch)).then_some(())?;
                Some((images.parse().ok()?, bytes.parse().ok()?))
            })
            .filter(|(_, bytes)| fs::metadata(&path).is_ok_and(|meta| meta.len() >= *bytes))
            .unwrap_or((0, 0));
        Ok(Self { path, state, images, bytes })
    }

    /// What an answer depends on, besides its image.
    fn terms(batch: &Batch<'_>) -> String {
        let Batch { gallery, judge, format, .. } = batch;
        let generation = gallery.generation();
        format!("{format:?} {} generation {generation}", judge.terms())
    }

    /// Answers the images that are not in the file yet, and gives it its final name.
    fn complete(
        self,
        output: &Path,
        images: Images,
        batch: &Batch<'_>,
        bar: &Bar,
    ) -> anyhow::Result<(u64, u64)> {
        let name = shown(&self.path);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(|error| Failure::usage(format!("cannot write {name}: {error}")))?;
        file.set_len(self.bytes)?;
        let failed_before = failures(&mut file, batch.format)?;
        file.seek(SeekFrom::End(0))?;
        let mut counting = Counting {
            file: BufWriter::new(file),
            bytes: self.bytes,
            images: self.images,
            pending: 0,
            state: &self.state,
            terms: Self::terms(batch),
            header: batch.format == Format::Csv && self.images == 0,
        };
        let (failed, done) = batch.run(images, &mut counting, self.images, bar)?;
        counting.file.into_inner()?.sync_all()?;
        fs::rename(&self.path, output)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", shown(output))))?;
        let _ = fs::remove_file(&self.state);
        Ok((failed_before + failed, done))
    }
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
        Format::Csv => {
            let mut reader = csv::Reader::from_reader(BufReader::new(file));
            for row in reader.records() {
                failed += u64::from(&row?[7] == "error");
            }
        }
    }
    Ok(failed)
}

/// Writes answers and, after each portion, the count of images that are wholly in the file.
struct Counting<'a> {
    file: BufWriter<File>,
    bytes: u64,
    images: u64,
    pending: u64,
    state: &'a Path,
    terms: String,
    header: bool,
}

impl Write for Counting<'_> {
    fn write(&mut self, answer: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(answer)?;
        self.bytes += answer.len() as u64;
        // The batch writes one whole answer at a time, and for csv the header before the first.
        if self.header {
            self.header = false;
        } else {
            self.pending += 1;
        }
        Ok(answer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()?;
        self.images += std::mem::take(&mut self.pending);
        let temporary = self.state.with_extension("state.new");
        fs::write(&temporary, format!("{}\n{} {}\n", self.terms, self.images, self.bytes))?;
        fs::rename(&temporary, self.state)
    }
}
