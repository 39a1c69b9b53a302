//! `facesearch represent`: the boxes and embeddings of the faces in photos.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use facesearch_core::{BoundingBox, Landmarks};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Unwritable};
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

#[derive(Serialize)]
struct Represented {
    image: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    faces: Vec<RepresentedFace>,
}

#[derive(Serialize)]
struct RepresentedFace {
    #[serde(rename = "box")]
    bbox: BoundingBox,
    score: f32,
    landmarks: Landmarks,
    /// Null where the network gave nothing usable.
    embedding: Option<Vec<f32>>,
}

impl Represented {
    /// Words for people: boxes, and the beginning of each embedding.
    fn for_people(&self) -> Vec<String> {
        let image = shown(Path::new(&self.image));
        if let Some(error) = &self.error {
            return vec![format!("{image}: {error}")];
        }
        let faces = count(self.faces.len() as u64, "face", "faces");
        let mut lines = vec![format!("{image}: {faces}")];
        for face in &self.faces {
            let BoundingBox { x, y, width, height } = face.bbox;
            let numbers = face.embedding.as_deref().map_or("no embedding".to_owned(), |numbers| {
                let start: Vec<String> =
                    numbers.iter().take(4).map(|number| format!("{number:.4}")).collect();
                format!("[{}, ...] ({} numbers)", start.join(", "), numbers.len())
            });
            lines.push(format!("  {width:.0}x{height:.0} at {x:.0},{y:.0}  {numbers}"));
        }
        lines
    }
}

/// Exits with 0; with 3 where no photo has a usable face, with 5 where a photo could not be read.
pub(crate) fn run(
    args: &RepresentArgs,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let vision = open::vision(&args.vision, global, out)?;
    let mut rows: Vec<Vec<f32>> = Vec::new();
    let (mut faces, mut unreadable) = (0, 0);
    for portion in args.images.chunks(open::PORTION) {
        let photos = vision.pipeline().probe_all(portion, |path| open::read(path))?;
        for (path, photo) in portion.iter().zip(photos) {
            let (found, error) = match photo {
                Ok(photo) => (photo.faces, None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            unreadable += usize::from(error.is_some());
            let face = |probe: facesearch_query::Probe| RepresentedFace {
                bbox: probe.face.bbox,
                score: probe.face.score,
                landmarks: probe.face.landmarks,
                embedding: probe.embedding.map(|embedding| embedding.as_slice().to_vec()),
            };
            let photo = Represented {
                image: path.to_string_lossy().into_owned(),
                model: vision.contract().model.clone(),
                error,
                faces: found.into_iter().map(face).collect(),
            };
            faces += photo.faces.len();
            if args.npy.is_some() {
                rows.extend(photo.faces.iter().map(|face| {
                    // A row for every face that is printed, so that rows and faces go together.
                    let none = || vec![f32::NAN; vision.contract().dimension as usize];
                    face.embedding.clone().unwrap_or_else(none)
                }));
            }
            if args.json { out.json(&photo)? } else { out.lines(photo.for_people())? }
        }
        out.flush()?;
    }
    if let Some(path) = &args.npy {
        write_npy(path, &rows, vision.contract().dimension as usize)
            .map_err(Unwritable::file(path))?;
    }
    Ok(if faces == 0 {
        Exit::Input
    } else if unreadable > 0 {
        Exit::SomeFailed
    } else {
        Exit::Success
    })
}

/// NumPy's format 1.0: a header of text whose length makes the data begin at a multiple of 64.
fn write_npy(path: &PathBuf, rows: &[Vec<f32>], dimension: usize) -> std::io::Result<()> {
    let shape = format!("({}, {dimension})", rows.len());
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let unpadded = 10 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for number in rows.iter().flatten() {
        out.write_all(&number.to_le_bytes())?;
    }
    out.into_inner().map_err(|error| error.into_error())?.sync_all()
}
