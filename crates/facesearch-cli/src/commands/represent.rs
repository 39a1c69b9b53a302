//! `facesearch represent`: the boxes and embeddings of the faces in photos.

use std::path::{Path, PathBuf};

use clap::Args;
use facesearch::{PORTION, Represented, write_embeddings};
use facesearch_core::BoundingBox;

use crate::args::Global;
use crate::exit::Exit;
use crate::open::{self, VisionArgs};
use crate::printer::{Printer, count, shown};

/// Give the box and the embedding of every face in photos
#[derive(Debug, Args)]
pub(crate) struct RepresentArgs {
    /// Photos to look at
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) vision: VisionArgs,

    /// One JSON object per photo, embeddings included
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the embeddings to a NumPy file: a row of 32-bit floats for each face, in the order in
    /// which the faces are printed
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) npy: Option<PathBuf>,
}

/// Exits with 0; with 3 where no photo has a usable face, with 5 where a photo could not be read.
pub(crate) fn run(
    args: &RepresentArgs,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let vision = open::vision(&args.vision, global, out)?;
    let dimension = vision.contract().dimension as usize;
    let mut rows: Vec<Vec<f32>> = Vec::new();
    let (mut faces, mut unreadable) = (0, 0);
    for portion in args.images.chunks(PORTION) {
        for photo in vision.represent(portion)? {
            unreadable += usize::from(photo.error.is_some());
            faces += photo.faces.len();
            if args.npy.is_some() {
                // A row for every face that is printed, so that rows and faces go together.
                let row = |embedding: &Option<Vec<f32>>| {
                    embedding.clone().unwrap_or_else(|| vec![f32::NAN; dimension])
                };
                rows.extend(photo.faces.iter().map(|face| row(&face.embedding)));
            }
            if args.json { out.json(&photo)? } else { out.lines(lines(&photo))? }
        }
        out.flush()?;
    }
    if let Some(path) = &args.npy {
        write_embeddings(path, dimension, rows)?;
    }
    Ok(match (faces, unreadable) {
        (0, _) => Exit::Input,
        (_, 0) => Exit::Success,
        _ => Exit::SomeFailed,
    })
}

/// Boxes, and the beginning of each embedding.
fn lines(photo: &Represented) -> Vec<String> {
    let image = shown(Path::new(&photo.image));
    if let Some(error) = &photo.error {
        return vec![format!("{image}: {error}")];
    }
    let faces = count(photo.faces.len() as u64, "face", "faces");
    let mut lines = vec![format!("{image}: {faces}")];
    for face in &photo.faces {
        let BoundingBox { x, y, width, height } = face.place.bbox;
        let numbers = face.embedding.as_deref().map_or("no embedding".to_owned(), |numbers| {
            let start: Vec<String> =
                numbers.iter().take(4).map(|number| format!("{number:.4}")).collect();
            format!("[{}, ...] ({} numbers)", start.join(", "), numbers.len())
        });
        lines.push(format!("  {width:.0}x{height:.0} at {x:.0},{y:.0}  {numbers}"));
    }
    lines
}
