//! `facesearch batch`: who is in each of these photos?

mod partial;
mod table;

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use facesearch::{PORTION, PhotoAnswer, Search, photos_in};
use facesearch_core::Progress;

use self::partial::Partial;

use crate::args::{self, Global, LinkArgs};
use crate::exit::{Exit, Failure, Unwritable};
use crate::open::{self, MemoryArgs};
use crate::page::Page;
use crate::printer::{Printer, count, for_stdout, json_line, shown};
use crate::progress::Bar;

/// Say who is in each of many photos
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// A folder of photos, a file that lists one path a line, or `-` for such a list on stdin
    #[arg(value_name = "DIR|LIST|-")]
    pub(crate) source: PathBuf,

    #[command(flatten)]
    pub(crate) search: args::Search,

    #[command(flatten)]
    pub(crate) memory: MemoryArgs,

    #[command(flatten)]
    pub(crate) links: LinkArgs,

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
    let reader = open::reader(global, out)?;
    let (total, images) = images(args, out)?;
    // The models are opened before the first answer is promised.
    reader.vision()?;
    let mut options = args.search.options()?;
    options.k = options.k.max(1);
    let batch = Batch {
        search: reader.search(options)?.within(args.memory.memory)?.listed(),
        format: args.format,
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
fn images(args: &BatchArgs, out: &Printer) -> anyhow::Result<(Option<u64>, Images)> {
    if args.source.as_os_str() == "-" {
        return Ok((None, lines(BufReader::new(std::io::stdin()), args.null)));
    }
    if args.source.is_dir() {
        let found = photos_in(&args.source, args.links.follow_links)?;
        if found.links_not_followed > 0 {
            let links = count(found.links_not_followed, "link", "links");
            let source = shown(&args.source);
            out.note(format!("{links} out of {source} not followed; --follow-links does"));
        }
        let photos = found.photos;
        return Ok((Some(photos.len() as u64), Box::new(photos.into_iter().map(Ok))));
    }
    let name = shown(&args.source);
    let file = File::open(&args.source).with_context(|| format!("cannot read {name}"))?;
    Ok((None, lines(BufReader::new(file), args.null)))
}

/// No path is longer: a list with longer lines is something else, which may have no end.
const LONGEST_PATH: u64 = 1 << 16;

fn lines(mut reader: impl BufRead + 'static, null: bool) -> Images {
    let end = if null { 0 } else { b'\n' };
    let mut next = move || -> anyhow::Result<Option<PathBuf>> {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LONGEST_PATH).read_until(end, &mut line);
        if read.context("cannot read the list of images")? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&end) {
            line.pop();
        } else if line.len() as u64 == LONGEST_PATH {
            return Err(Failure::input(
                "the list of images has a line that is longer than any path",
            ));
        }
        if !null && line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(open::path_from_bytes(line)))
    };
    let paths = std::iter::from_fn(move || next().transpose());
    Box::new(paths.filter(|path| path.as_ref().map_or(true, |p| !p.as_os_str().is_empty())))
}

/// Where answers go.
trait Answers {
    /// The heading of a table.
    fn head(&mut self, head: &[u8]) -> Result<(), Unwritable>;

    /// All that is said of an image.
    fn answer(&mut self, image: &Path, answer: &[u8]) -> Result<(), Unwritable>;

    /// A portion of images is done.
    fn flush(&mut self) -> Result<(), Unwritable>;
}

impl Answers for std::io::StdoutLock<'_> {
    fn head(&mut self, head: &[u8]) -> Result<(), Unwritable> {
        self.write_all(head).map_err(Unwritable::stdout)
    }

    fn answer(&mut self, _: &Path, answer: &[u8]) -> Result<(), Unwritable> {
        self.write_all(&for_stdout(answer)).map_err(Unwritable::stdout)
    }

    fn flush(&mut self) -> Result<(), Unwritable> {
        Write::flush(self).map_err(Unwritable::stdout)
    }
}

/// What stays the same for all images.
struct Batch {
    search: Search,
    /// What `--html` shows, where it is wanted.
    page: RefCell<Page>,
    with_page: bool,
    format: Format,
}

impl Batch {
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
                images.by_ref().take(PORTION).collect::<anyhow::Result<_>>()?;
            let answers = self.search.photos(&portion)?;
            for (image, answer) in portion.iter().zip(answers) {
                unreadable += u64::from(answer.error.is_some());
                to.answer(image, &self.line(&answer)?)?;
                if self.with_page {
                    self.page.borrow_mut().answer(&answer);
                }
            }
            to.flush()?;
            done += portion.len() as u64;
            bar.advance(portion.len() as u64);
        }
        Ok((unreadable, skip + done))
    }

    fn line(&self, answer: &PhotoAnswer) -> anyhow::Result<Vec<u8>> {
        match self.format {
            Format::Jsonl => json_line(answer),
            Format::Csv | Format::Parquet => table::csv_of(answer),
        }
    }
}
