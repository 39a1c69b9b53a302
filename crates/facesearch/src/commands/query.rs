//! `facesearch query`: who is in this photo?

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;
use facesearch_core::{Contract, Embedding, Gallery};
use facesearch_exchange::{Columns, Format};
use facesearch_query::Loaded;

use crate::args::{Global, Search};
use crate::exit::{Exit, Failure};
use crate::judge::Judge;
use crate::open;
use crate::page::Page;
use crate::printer::{Printer, shown};
use crate::report::ImageReport;

/// Say who is in a photo: the nearest identities of every face in it
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// Photos to look at
    #[arg(required_unless_present = "vector", value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,

    /// Embeddings to search for instead, one a row: .npy, .csv, any form that `import` reads, or `-`
    /// for NumPy or CSV on stdin; no model is loaded
    #[arg(long, value_name = "FILE|-", conflicts_with = "images")]
    pub(crate) vector: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) search: Search,

    /// One JSON object per image
    #[arg(long)]
    pub(crate) json: bool,

    /// A page with the faces side by side
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

/// Vectors that are searched for together: enough for a scan to be worth it, few enough that their
/// answers do not fill the memory.
const TOGETHER: usize = 1 << 10;

/// Exits with 0 where anybody was found and 1 where nobody was, as grep does; with 3 where no image
/// could be used, and 5 where only some could.
pub(crate) fn run(args: &QueryArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let mut seen = Seen::default();
    ask(args, global, out, |report, _| {
        seen.add(&report);
        Ok(())
    })?;
    Ok(seen.exit())
}

/// Prints the answer for each image, and hands it to `then`.
pub(crate) fn ask(
    args: &QueryArgs,
    global: &Global,
    out: &mut Printer,
    mut then: impl FnMut(ImageReport, &mut Printer) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let gallery = open::gallery(global)?;
    let title = if args.vector.is_some() { "Who are these?" } else { "Who is in these photos?" };
    let mut page = args.html.as_ref().map(|file| (file, Page::new(title)));
    let mut tell = |report: ImageReport, out: &mut Printer| {
        if let Some((_, page)) = &mut page {
            page.answer(&report);
        }
        if args.json {
            out.json(&report)?;
        } else {
            out.lines(report.for_people())?;
        }
        out.flush()?;
        then(report, out)
    };
    if let Some(file) = &args.vector {
        open::set_threads(global);
        let judge = Judge::new(&args.search, &gallery, global, out)?;
        let mut vectors = vectors(file, gallery.contract())?;
        loop {
            let some = vectors.by_ref().take(TOGETHER).collect::<anyhow::Result<Vec<_>>>()?;
            if some.is_empty() {
                break;
            }
            for report in ImageReport::of_vectors(some, &gallery, &judge)? {
                tell(report, out)?;
            }
        }
    } else {
        // Opening the models takes as long as decoding a large photo, and leaves cores idle. Only a file is read
        // ahead: whoever asks with models that are not there should not wait for a pipe.
        open::set_threads(global);
        let mut first = None;
        let vision = rayon::in_place_scope(|scope| {
            if let Some(path) = args.images.first().filter(|path| path.is_file()) {
                let first = &mut first;
                scope.spawn(move |_| *first = Some((path, open::photo(path))));
            }
            open::vision_of(&gallery, global, out)
        })?;
        let first = Mutex::new(first);
        let load = |path: &PathBuf| {
            let first = first.lock().expect("nobody panics here").take_if(|(of, _)| *of == path);
            match first {
                Some((_, photo)) => photo.map(Loaded::Decoded),
                None => open::read(path).map(Loaded::File),
            }
        };
        let judge = Judge::new(&args.search, &gallery, global, out)?;
        for images in args.images.chunks(open::PORTION) {
            let photos = vision.pipeline().probe_all(images, load)?;
            let named = images.iter().map(PathBuf::as_path).zip(photos);
            for report in ImageReport::of_photos(named, &gallery, &judge)? {
                tell(report, out)?;
            }
        }
    }
    page.map_or(Ok(()), |(file, page)| page.write(file))
}

/// The embeddings of a file, each with a name to answer by, as the index's metric wants them.
fn vectors<'c>(
    file: &Path,
    contract: &'c Contract,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(PathBuf, Embedding)>> + use<'c>> {
    let rows = if file.as_os_str() == "-" {
        facesearch_exchange::read_one(std::io::stdin(), file)?
    } else {
        facesearch_exchange::read(file, Format::of(file)?, &Columns::default())?
    };
    let name = shown(file);
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Err(Failure::input(format!("{name} holds no embeddings")));
    }
    Ok((0..).zip(rows).map(move |(i, row): (u64, _)| {
        let row = row?;
        let got = row.vector.len();
        if got != contract.dimension as usize {
            let (wanted, model) = (contract.dimension, &contract.model);
            return Err(Failure::input(format!(
                "vector {i} of {name} has {got} numbers, but the index holds vectors of {wanted}, \
                 made by `{model}`; make the probe with the same model"
            )));
        }
        let embedding = Embedding::new(row.vector, contract.metric)
            .map_err(|error| Failure::input(format!("vector {i} of {name}: {error}")))?;
        Ok((row.name.unwrap_or_else(|| format!("{name}#{i}")).into(), embedding))
    }))
}

/// What all images together amount to.
#[derive(Debug, Default)]
struct Seen {
    images: usize,
    unreadable: usize,
    faceless: usize,
    matched: bool,
}

impl Seen {
    fn add(&mut self, report: &ImageReport) {
        self.images += 1;
        self.unreadable += usize::from(report.error.is_some());
        self.faceless += usize::from(report.error.is_none() && report.faces.is_empty());
        self.matched |= report.has_match();
    }

    fn exit(&self) -> Exit {
        if self.unreadable + self.faceless == self.images {
            Exit::Input
        } else if self.unreadable > 0 {
            Exit::SomeFailed
        } else if self.matched {
            Exit::Success
        } else {
            Exit::Nobody
        }
    }
}
