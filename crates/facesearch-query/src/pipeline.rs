//! Photos become probes: the faces in them and their embeddings.

use facesearch_core::{
    AlignedFace, Chip, DetectedFace, Embedder, Embedding, FaceFinder, FoundFaces, Photo, Quality,
    VisionError,
};
use rayon::prelude::*;

/// One face to search for.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Where it is in its photo.
    pub face: DetectedFace,
    /// How usable it is, where that was measured.
    pub quality: Option<Quality>,
    /// What the model makes of it; `None` where the model gave no usable vector.
    pub embedding: Option<Embedding>,
}

/// What one photo holds.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoProbe {
    /// Pixels across of the upright photo.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Its faces, the most prominent first.
    pub faces: Vec<Probe>,
}

/// A photo as somebody has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// The bytes of its file.
    File(Vec<u8>),
    /// Its pixels, upright.
    Decoded(Photo),
}

impl From<Vec<u8>> for Loaded {
    fn from(file: Vec<u8>) -> Self {
        Self::File(file)
    }
}

/// A finder and an embedder that belong together.
#[derive(Clone, Copy)]
pub struct Pipeline<'a> {
    finder: &'a dyn FaceFinder,
    embedder: &'a dyn Embedder,
    memory: u64,
}

impl<'a> Pipeline<'a> {
    /// `finder` must cut the chips that `embedder` was trained on.
    pub fn new(finder: &'a dyn FaceFinder, embedder: &'a dyn Embedder) -> Self {
        Self { finder, embedder, memory: u64::MAX }
    }

    /// The same with photos that take at most so many bytes at the same time. One that needs more
    /// by itself is rejected.
    pub fn within(self, memory: u64) -> Self {
        Self { memory, ..self }
    }

    /// The faces of many photos, in order: each is loaded and searched for faces on whatever core
    /// is free, then all faces are embedded together.
    ///
    /// `load` gives the bytes of a photo's file, or its pixels where somebody decoded it already.
    /// The chips of all `photos` are held at once, so callers with many photos pass them in
    /// portions.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] alone; what is wrong with a photo is the photo's own result.
    pub fn probe_all<T: Sync, L: Into<Loaded>>(
        &self,
        photos: &[T],
        load: impl Fn(&T) -> Result<L, VisionError> + Sync,
    ) -> Result<Vec<Result<PhotoProbe, VisionError>>, VisionError> {
        let found = self.find_all(photos, |photo| load(photo).map(Into::into));
        let mut chips: Vec<Chip> = Vec::new();
        let mut probes = Vec::with_capacity(found.len());
        for result in found {
            probes.push(match result {
                Ok(photo) => {
                    let mut faces = Vec::with_capacity(photo.faces.len());
                    for aligned in photo.faces {
                        let AlignedFace { face, quality, chip } = aligned;
                        faces.push(Probe { face, quality, embedding: None });
                        chips.push(chip);
                    }
                    Ok(PhotoProbe { width: photo.width, height: photo.height, faces })
                }
                Err(error @ VisionError::Model { .. }) => return Err(error),
                Err(error) => Err(error),
            });
        }
        let mut embeddings = self.embedder.embed(&chips)?.into_iter();
        let faces = probes.iter_mut().flatten().flat_map(|photo| &mut photo.faces);
        for face in faces {
            face.embedding = embeddings.next().flatten();
        }
        Ok(probes)
    }

    fn find(&self, photo: &Loaded) -> Result<FoundFaces, VisionError> {
        match photo {
            Loaded::File(bytes) => self.finder.find(bytes),
            Loaded::Decoded(photo) => self.finder.find_in(photo),
        }
    }

    /// Bytes of memory that a photo takes while it is looked at; of one that is decoded already the
    /// pixels alone.
    fn memory_of(&self, photo: &Loaded) -> u64 {
        match photo {
            Loaded::File(bytes) => self.finder.memory(bytes).saturating_add(bytes.len() as u64),
            Loaded::Decoded(photo) => photo.rgb().len() as u64,
        }
    }

    /// The photo, unless looking at it would take more memory than is allowed.
    fn allowed(&self, photo: Loaded) -> Result<(Loaded, u64), VisionError> {
        let (needs, allowed) = (self.memory_of(&photo), self.memory);
        if needs <= allowed {
            return Ok((photo, needs));
        }
        let reason =
            format!("it takes about {needs} bytes of memory to look at, {allowed} are allowed");
        Err(VisionError::Rejected { reason })
    }

    /// The faces of each photo, no more photos at a time than memory allows.
    fn find_all<T: Sync>(
        &self,
        photos: &[T],
        load: impl Fn(&T) -> Result<Loaded, VisionError> + Sync,
    ) -> Vec<Result<FoundFaces, VisionError>> {
        if self.memory == u64::MAX {
            // A single photo would be looked at outside of the pool, each of its parts handed in
            // and waited for.
            return rayon::scope(|_| {
                photos.par_iter().map(|photo| self.find(&load(photo)?)).collect()
            });
        }
        // As many as fit, then the next: a thread that waited for memory in the middle of its photo
        // could be waiting for itself.
        let mut found = Vec::with_capacity(photos.len());
        let (mut together, mut taken) = (Vec::new(), 0u64);
        let look = |together: &mut Vec<Result<Loaded, VisionError>>| {
            let each = std::mem::take(together).into_par_iter();
            each.map(|photo| self.find(&photo?)).collect::<Vec<_>>()
        };
        for photo in photos {
            let photo = load(photo).and_then(|photo| self.allowed(photo));
            let needs = photo.as_ref().map_or(0, |(_, needs)| *needs);
            if taken.saturating_add(needs) > self.memory {
                found.extend(look(&mut together));
                taken = 0;
            }
            taken += needs;
            together.push(photo.map(|(photo, _)| photo));
        }
        found.extend(look(&mut together));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use facesearch_core::{BoxError, Metric};

    use super::*;

    /// A photo of `n` bytes takes `n`; what it takes together with others is watched.
    #[derive(Default)]
    struct Watch {
        now: AtomicU64,
        most: AtomicU64,
    }

    impl FaceFinder for Watch {
        fn find(&self, bytes: &[u8]) -> Result<FoundFaces, VisionError> {
            let needs = self.memory(bytes);
            let now = self.now.fetch_add(needs, Ordering::SeqCst) + needs;
            self.most.fetch_max(now, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(1));
            self.now.fetch_sub(needs, Ordering::SeqCst);
            Ok(FoundFaces { width: bytes.len() as u32, height: 1, faces: Vec::new() })
        }

        fn find_in(&self, photo: &Photo) -> Result<FoundFaces, VisionError> {
            self.find(photo.rgb())
        }

        fn memory(&self, bytes: &[u8]) -> u64 {
            bytes.len() as u64
        }
    }

    impl Embedder for Watch {
        fn name(&self) -> &str {
            "watch"
        }

        fn dim(&self) -> usize {
            1
        }

        fn metric(&self) -> Metric {
            Metric::L2
        }

        fn batch_size(&self) -> usize {
            1
        }

        fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
            Ok(chips.iter().map(|_| None).collect())
        }
    }

    #[test]
    fn photos_keep_to_their_memory_and_their_order() {
        let sizes = [30usize, 20, 70, 5, 150, 40, 40, 40, 1, 0, 99];
        for memory in [100u64, u64::MAX] {
            let watch = Watch::default();
            let pipeline = Pipeline::new(&watch, &watch).within(memory);
            let load = |size: &usize| match size {
                0 => Err(VisionError::Read { reason: BoxError::from("gone").to_string() }),
                // Some of them decoded already.
                size if size % 30 == 0 => {
                    Ok(Loaded::Decoded(Photo::new(*size as u32 / 3, 1, vec![0; *size])))
                }
                size => Ok(Loaded::File(vec![0; *size])),
            };
            let probes = pipeline.probe_all(&sizes, load).unwrap();
            let widths: Vec<usize> =
                probes.iter().map(|p| p.as_ref().map_or(0, |p| p.width as usize)).collect();
            // The bytes of the file count too: 70 are there twice.
            let taken = |size: usize| if size.is_multiple_of(30) { size } else { 2 * size };
            let fits = |size: usize| taken(size) <= memory as usize;
            let want = sizes.map(|size| if fits(size) { size } else { 0 });
            assert_eq!(widths, want);
            assert!(watch.most.load(Ordering::SeqCst) <= if memory == 100 { 100 } else { 495 });
            let rejected = probes.iter().filter(|probe| {
                matches!(probe, Err(VisionError::Rejected { reason }) if reason.contains("100 are"))
            });
            assert_eq!(rejected.count(), if memory == 100 { 3 } else { 0 });
        }
    }
}
