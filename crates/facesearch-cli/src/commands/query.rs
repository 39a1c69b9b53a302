//! `facesearch query`: who is in this photo?

use std::path::PathBuf;

use clap::Args;
use facesearch::{PORTION, PhotoAnswer, TOGETHER};

use crate::args::{Global, Search};
use crate::exit::Exit;
use crate::open;
use crate::page::Page;
use crate::printer::Printer;
use crate::text;

/// Say who is in a photo: the nearest identities of every face in it
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// Photos to look at
    #[arg(required_unless_present = "vector", value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,

    /// Embeddings to search for instead, one a row: .npy, .csv, any form that `import` reads, or
    /// `-` for NumPy or CSV on stdin; no model is loaded
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
    mut then: impl FnMut(PhotoAnswer, &mut Printer) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let reader = open::reader(global, out)?;
    if args.vector.is_none() {
        reader.check_photos()?;
    }
    let search = reader.search(args.search.options()?)?;
    let title = if args.vector.is_some() { "Who are these?" } else { "Who is in these photos?" };
    let mut page = args.html.as_ref().map(|file| (file, Page::new(title)));
    let mut tell = |answer: PhotoAnswer, out: &mut Printer| {
        if let Some((_, page)) = &mut page {
            page.answer(&answer);
        }
        if args.json {
            out.json(&answer)?;
        } else {
            out.lines(text::answer(&answer))?;
        }
        out.flush()?;
        then(answer, out)
    };
    if let Some(file) = &args.vector {
        let mut embeddings = reader.embeddings_of(file)?;
        loop {
            let portion = embeddings.by_ref().take(TOGETHER).collect::<Result<Vec<_>, _>>()?;
            if portion.is_empty() {
                break;
            }
            for answer in search.embeddings(portion)? {
                tell(answer, out)?;
            }
        }
    } else {
        for images in args.images.chunks(PORTION) {
            for answer in search.photos(images)? {
                tell(answer, out)?;
            }
        }
    }
    page.map_or(Ok(()), |(file, page)| page.write(file))
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
    fn add(&mut self, report: &PhotoAnswer) {
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
