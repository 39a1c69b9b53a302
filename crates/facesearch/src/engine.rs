//! Writing an index: one writer at a time, which also reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use facesearch_ann::{Snapshot, SnapshotPublisher};
use facesearch_core::{Contract, FaceStore, GalleryError, Published};
use facesearch_store::SledStore;

use crate::error::{Error, Result};
use crate::imported::refuse_photos;
use crate::index::IndexRun;
use crate::models::Models;
use crate::options::Options;
use crate::reader::Reader;
use crate::search::Query;
use crate::writer::Writer;

/// The store's folder in an index directory.
pub(crate) const STORE: &str = "store";

/// An index that is written and searched.
///
/// Opening one locks nothing. The first change takes the index, which then belongs to this engine
/// until it is dropped: there is one writer at a time. [`reader`](Self::reader) gives readers for
/// other threads; readers in other processes see each publication.
pub struct Engine {
    reader: Reader,
    /// Takes the index with the first change.
    writer: Option<Writer>,
}

impl Engine {
    /// Opens the index in the directory `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where there is no index or a damaged one without a store; [`Error::Zoo`]
    /// where the system names no folder for model files.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Self> {
        let dir = dir.into();
        let published = match Snapshot::open(&dir) {
            Ok(snapshot) => Some(Arc::new(snapshot)),
            // Not published yet, or damaged: the store is the truth.
            Err(_) if SledStore::is_at(&dir.join(STORE)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { reader: Reader::with(dir, options, published)?, writer: None })
    }

    /// Makes an empty index in the directory `dir` for the embeddings of the models that `options`
    /// name; opens the index that is there, where it is of the same models.
    ///
    /// # Errors
    ///
    /// What [`Models::open`] reports; [`Error::Store`] where the store cannot be made, or is of
    /// other models.
    pub fn create(dir: impl Into<PathBuf>, options: Options) -> Result<Self> {
        let dir = dir.into();
        let mut engine = match Self::open(&dir, options.clone()) {
            Err(Error::Gallery(GalleryError::NotFound { .. })) => {
                Self { reader: Reader::with(dir, options, None)?, writer: None }
            }
            opened => opened?,
        };
        engine.take()?;
        Ok(engine)
    }

    /// Makes an empty index in the directory `dir` for embeddings that are made elsewhere, as
    /// `contract` says; opens the index that is there, where it has the same contract. No model is
    /// opened before a photo is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store cannot be made, or has another contract.
    pub fn create_for(
        dir: impl Into<PathBuf>,
        contract: &Contract,
        options: Options,
    ) -> Result<Self> {
        let reader = Reader::with(dir.into(), options, None)?;
        let published = Snapshot::open(reader.dir()).ok();
        if let Some(published) = published {
            reader.publish(Arc::new(published), true)?;
        }
        let writer = Some(Writer::take(&reader, contract)?);
        Ok(Self { reader, writer })
    }

    /// A reader of this index, which also sees what is added and removed here.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The directory of the index.
    pub fn dir(&self) -> &Path {
        self.reader.dir()
    }

    /// The catalogue of models, and the folder of their files.
    pub fn models(&self) -> &Models {
        self.reader.models()
    }

    /// Indexes files and folders of photos: [`IndexRun::run`] does it.
    ///
    /// ```no_run
    /// # use facesearch::{Engine, Options};
    /// let mut engine = Engine::create("faces.index", Options::default())?;
    /// let report = engine.index(["photos"]).prune(true).run()?;
    /// println!("{} photos, {} faces", report.files, report.faces);
    /// # Ok::<(), facesearch::Error>(())
    /// ```
    pub fn index<P: Into<PathBuf>>(&mut self, paths: impl IntoIterator<Item = P>) -> IndexRun<'_> {
        IndexRun::new(self, paths.into_iter().map(Into::into).collect())
    }

    /// Asks who is in one photo: [`Query::run`] does it.
    pub fn query(&self, photo: impl Into<PathBuf>) -> Query<'_> {
        self.reader.query(photo)
    }

    /// What the index is pinned to; `None` where there is none yet.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] or [`Error::Store`] where what is there cannot be opened.
    pub fn pinned(&self) -> Result<Option<Contract>> {
        if let Ok(contract) = self.reader.contract() {
            return Ok(Some(contract));
        }
        if let Some(writer) = &self.writer {
            return Ok(Some(writer.store().contract().clone()));
        }
        let store = self.dir().join(STORE);
        match SledStore::is_at(&store) {
            true => Ok(Some(SledStore::open(&store)?.contract().clone())),
            false => Ok(None),
        }
    }

    /// Publishes all that was changed, for readers of other processes.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where it cannot be written; what was published before then still stands.
    pub fn publish(&mut self) -> Result<Published> {
        self.take()?.publish(true)
    }

    /// Takes hold of the store, made where there is none; what an interrupted change left
    /// unpublished is published.
    pub(crate) fn take(&mut self) -> Result<&mut Writer> {
        if self.writer.is_none() {
            let contract = self.pinned()?;
            if let Some(contract) = &contract {
                refuse_photos(contract, self.dir())?;
            }
            let contract = match contract {
                Some(contract) => contract,
                None => self.new_contract()?,
            };
            let writer = Writer::take(&self.reader, &contract)?;
            self.writer = Some(writer);
        }
        Ok(self.writer.as_mut().expect("it was put there a moment ago"))
    }

    fn new_contract(&self) -> Result<Contract> {
        let vision = self.models().open(&self.reader.options().vision)?;
        Ok(self.reader.adopt(vision).contract().clone())
    }

    /// Lets go of the store; the next change takes it again.
    pub fn release(&mut self) {
        self.writer = None;
    }

    /// Lets readers of this process see what was published last.
    pub(crate) fn show_published(&self) -> Result<()> {
        self.reader.publish(Arc::new(Snapshot::open(self.dir())?), true)
    }

    pub(crate) fn publisher(&self) -> SnapshotPublisher {
        SnapshotPublisher::new(self.dir())
    }
}
