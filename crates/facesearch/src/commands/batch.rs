//! `facesearch batch`: who is in each of these photos?

mod partial;
mod table;

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use facesearch_core::{Gallery, Progress};

use self::partial::Partial;

use crate::args::{Global, Search};
use crate::exit::{Exit, Failure};
use crate::judge::Judge;
use crate::open::{self, MemoryArgs, Vision};
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

    #[command(flatten)]
    pub(crate) memory: MemoryArgs,

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
    /// The same columns with types; needs --output, and is there once all images are done
    Parquet,
}

impl Format {
    /// Whether answers are written as lines of CSV while the run goes on. A Parquet file cannot be
    /// read before its end is written, so it is made of those lines, which survive an interruption.
    fn is_table(self) -> bool {
        matches!(self, Self::Csv | Self::Parquet)
    }
}

/// Exits with 0 once every image has its answer, with 5 where some could not be read.
pub(crate) fn run(args: &BatchArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    if args.format == Format::Parquet && args.output.is_none() {
        return Err(Failure::usage("--format parquet needs a file to write; name it with -o FILE"));
    }
    let gallery = open::gallery(global)?;
    let (total, images) = images(args)?;
    let mut judge = Judge::new(&args.search, &gallery, global, out)?;
    judge.k = judge.k.max(1);
    let vision = open::vision_of(&gallery, global, out)?;
    let batch = Batch {
        vision: &vision,
        gallery: &gallery,
        judge,
        format: args.format,
        memory: args.memory.for_photos(),
        page: RefCell::new(Page::new("Who is in these photos?")),
        with_page: args.html.is_some(),
    };
    let bar = Bar::new(out.is_quiet());
    bar.start(total, "images");
    let (unreadable, done) = match &args.output {
        None => batch.run(images, &mut std::io::stdout().lock(), 0, &bar)?,
        Some(file) => {
            let (partial, images) = Partial::open(file, &batch, images)?;
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

/// Where answers go.
trait Answers {
    /// The heading of a table.
    fn head(&mut self, head: &[u8]) -> std::io::Result<()>;

    /// All that is said of an image.
    fn answer(&mut self, image: &Path, answer: &[u8]) -> std::io::Result<()>;

    /// A portion of images is done.
    fn flush(&mut self) -> std::io::Result<()>;
}

impl Answers for std::io::StdoutLock<'_> {
    fn head(&mut self, head: &[u8]) -> std::io::Result<()> {
        self.write_all(head)
    }

    fn answer(&mut self, _: &Path, answer: &[u8]) -> std::io::Result<()> {
        self.write_all(answer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Write::flush(self)
    }
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
    /// How many bytes photos may take at once.
    memory: u64,
}

impl Batch<'_> {
    /// Answers `images` but for the first `skip`; gives how many could not be used, and how many
    /// there were.
    fn run(
        &self,
        images: Images,
        to: &mut dyn Answers,
        skip: u64,
        bar: &Bar,
    ) -> anyhow::Result<(u64, u64)> {
        if self.format.is_table() && skip == 0 {
            to.head(&table::csv_head()?)?;
        }
        let (mut unreadable, mut done) = (0, 0);
        let mut images = images.skip(usize::try_from(skip)?).peekable();
        bar.advance(skip);
        while images.peek().is_some() {
            let portion: Vec<PathBuf> =
                images.by_ref().take(open::PORTION).collect::<anyhow::Result<_>>()?;
            let pipeline = self.vision.pipeline().within(self.memory);
            let photos = pipeline.probe_all(&portion, |path| open::read(path))?;
            let named = portion.iter().map(PathBuf::as_path).zip(photos);
            let reports = ImageReport::of_photos(named, self.gallery, &self.judge)?;
            for (image, report) in portion.iter().zip(reports) {
                unreadable += u64::from(report.error.is_some());
                to.answer(image, &self.line(&report)?)?;
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
            Format::Csv | Format::Parquet => table::csv_of(report),
        }
    }
}
