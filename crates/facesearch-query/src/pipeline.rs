//! Photos become probes: the faces in them and their embeddings.

use facesearch_core::{
    AlignedFace, Chip, DetectedFace, Embedder, Embedding, FaceFinder, FoundFaces, Quality,
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

    /// The same with photos that take at most so many bytes at the same time, but for a single photo that
    /// needs more by itself.
    pub fn within(self, memory: u64) -> Self {
        Self { memory, ..self }
    }

    /// The faces of many photos, in order: each is loaded and searched for faces on whatever core is
    /// free, then all faces are embedded together.
    ///
    /// `load` gives the bytes of a photo's file. The chips of all `photos` are held at once, so
    /// callers with many photos pass them in portions.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] alone; what is wrong with a photo is the photo's own result.
    pub fn probe_all<T: Sync>(
        &self,
        photos: &[T],
        load: impl Fn(&T) -> Result<Vec<u8>, VisionError> + Sync,
    ) -> Result<Vec<Result<PhotoProbe, VisionError>>, VisionError> {
        let found = self.find_all(photos, load);
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

    /// The faces of each photo, no more photos at a time than memory allows.
    fn find_all<T: Sync>(
        &self,
        photos: &[T],
        load: impl Fn(&T) -> Result<Vec<u8>, VisionError> + Sync,
    ) -> Vec<Result<FoundFaces, VisionError>> {
        if self.memory == u64::MAX {
            // A single photo would be looked at outside of the pool, each of its parts handed in and waited for.
            return rayon::scope(|_| {
                photos.par_iter().map(|photo| self.finder.find(&load(photo)?)).collect()
            });
        }
        // As many as fit, then the next: a thread that waited for memory in the middle of its photo could
        // be waiting for itself.
        let mut found = Vec::with_capacity(photos.len());
        let (mut together, mut taken) = (Vec::new(), 0u64);
        let look = |together: &mut Vec<Result<Vec<u8>, VisionError>>| {
            let each = std::mem::take(together).into_par_iter();
            each.map(|bytes| self.finder.find(&bytes?)).collect::<Vec<_>>()
        };
        for photo in photos {
            let bytes = load(photo);
            let needs = bytes.as_ref().map_or(0, |bytes: &Vec<u8>| {
                self.finder.memory(bytes).saturating_add(bytes.len() as u64)
            });
            if taken.saturating_add(needs) > self.memory {
                found.extend(look(&mut together));
                taken = 0;
            }
            taken += needs;
            together.push(bytes);
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
        for memory in [100, u64::MAX] {
            let watch = Watch::default();
            let pipeline = Pipeline::new(&watch, &watch).within(memory);
            let load = |size: &usize| match size {
                0 => Err(VisionError::Read { reason: BoxError::from("gone").to_string() }),
                size => Ok(vec![0; *size]),
            };
            let probes = pipeline.probe_all(&sizes, load).unwrap();
            let widths: Vec<usize> =
                probes.iter().map(|p| p.as_ref().map_or(0, |p| p.width as usize)).collect();
            assert_eq!(widths, sizes);
            // The bytes of the file count too.
            assert!(watch.most.load(Ordering::SeqCst) <= if memory == 100 { 150 } else { 495 });
        }
    }
}
