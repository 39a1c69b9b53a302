//! Reading an index: any number of readers, in any number of threads and processes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use facesearch_ann::{LiveGallery, Snapshot};
use facesearch_core::{Contract, Gallery, GalleryError, StoreError, display_path};
use facesearch_people::crowd::Crowd;

use crate::error::{Error, Result};
use crate::imported;
use crate::models::Models;
use crate::options::{Options, VisionOptions};
use crate::threads::start_threads;
use crate::vision::Vision;

/// An index that is searched. A clone is cheap and sees the same index; clones may be used in many
/// threads at once.
///
/// A reader sees what is published. A reader that came from an [`Engine`](crate::Engine) also sees
/// what that engine added or removed since.
#[derive(Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    options: Options,
    models: Models,
    state: RwLock<State>,
    /// The index's models, opened when a photo is looked at for the first time.
    vision: OnceLock<Vision>,
    /// Held by whoever opens them.
    opening: Mutex<()>,
    /// The crowd that was used last, and for which state.
    crowd: Mutex<Option<(CrowdState, Option<Arc<Crowd>>)>>,
}

/// A publication, and the magnitude of the number of people: faces that are added one by one hardly
/// change the crowd.
type CrowdState = (u64, u32);

#[derive(Default)]
struct State {
    published: Option<Arc<Snapshot>>,
    /// What a writer of this process changed since.
    live: Option<Arc<LiveGallery>>,
}

impl Reader {
    /// Opens the published state of the index in the directory `dir`. Nothing is copied or locked.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where there is no index, or a damaged one; [`Error::Zoo`] where the
    /// system names no folder for model files.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Self> {
        let dir = dir.into();
        let published = Arc::new(Snapshot::open(&dir)?);
        Self::with(dir, options, Some(published))
    }

    /// A reader of an index of which nothing may be published yet.
    pub(crate) fn with(
        dir: PathBuf,
        options: Options,
        published: Option<Arc<Snapshot>>,
    ) -> Result<Self> {
        // An error means that the pool is there already, from an earlier call.
        let _ = start_threads(options.thread_count());
        let models = Models::new(&options)?;
        let state = RwLock::new(State { published, live: None });
        let (vision, opening) = (OnceLock::new(), Mutex::new(()));
        Ok(Self {
            inner: Arc::new(Inner {
                dir,
                options,
                models,
                state,
                vision,
                opening,
                crowd: Mutex::default(),
            }),
        })
    }

    /// The directory of the index.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// How the index was opened.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The catalogue of models, and the folder of their files.
    pub fn models(&self) -> &Models {
        &self.inner.models
    }

    /// What is published.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where nothing is.
    pub fn published(&self) -> Result<Arc<Snapshot>> {
        let published = self.state(|state| state.published.clone());
        published.ok_or_else(|| GalleryError::NotFound { path: self.inner.dir.clone() }.into())
    }

    /// All that can be found now: what is published, and what a writer of this process changed
    /// since. It does not change any more; the next call may give another.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where there is nothing yet.
    pub fn gallery(&self) -> Result<Arc<dyn Gallery>> {
        match self.state(|state| state.live.clone()) {
            Some(live) => Ok(Arc::new(live.view())),
            None => Ok(self.published()?),
        }
    }

    /// What the embeddings of the index were made with.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where there is nothing yet.
    pub fn contract(&self) -> Result<Contract> {
        Ok(self.gallery()?.contract().clone())
    }

    /// The crowd that faces of this state are judged by; `None` where there is none.
    pub(crate) fn crowd(&self, gallery: &dyn Gallery) -> Result<Option<Arc<Crowd>>> {
        let state = (gallery.generation(), gallery.people().max(1).ilog2());
        let mut kept = self.inner.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, crowd)) = &*kept
            && *of == state
        {
            return Ok(crowd.clone());
        }
        let cohort = self.inner.models.cohort_for(gallery.contract())?;
        let crowd = Crowd::new(gallery, cohort)?.map(Arc::new);
        *kept = Some((state, crowd.clone()));
        Ok(crowd)
    }

    /// Whether photos can be asked about here. An index of imported vectors has no model for them.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] where they cannot, with what to do instead; [`Error::Gallery`] where there
    /// is nothing yet.
    pub fn check_photos(&self) -> Result<()> {
        imported::refuse_photos(&self.contract()?, &self.inner.dir)
    }

    /// Sees from now on what another process has published meanwhile. Whether that was anything.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where the new state cannot be opened; the reader keeps the old one.
    pub fn refresh(&self) -> Result<bool> {
        let newest = Snapshot::open(&self.inner.dir)?;
        let standing = self.state(|state| state.published.clone());
        if standing.is_some_and(|standing| standing.generation() == newest.generation()) {
            return Ok(false);
        }
        self.publish(Arc::new(newest), false)?;
        Ok(true)
    }

    /// The models of the index, opened and checked against its contract.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] where the index holds imported vectors or was made by other models than
    /// those that are here; what [`Models::open`] reports.
    pub fn vision(&self) -> Result<&Vision> {
        if let Some(vision) = self.inner.vision.get() {
            return Ok(vision);
        }
        let _opening = self.inner.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vision) = self.inner.vision.get() {
            return Ok(vision);
        }
        let contract = self.contract()?;
        imported::refuse_photos(&contract, &self.inner.dir)?;
        let asked = &self.inner.options.vision;
        let vision = self.inner.models.open(&asked.or_pinned(Some(&contract)))?;
        contract.check(vision.contract()).map_err(|source| {
            match *asked == VisionOptions::default() {
                false => StoreError::Contract { path: self.inner.dir.clone(), source }.into(),
                true => {
                    let index = display_path(&self.inner.dir);
                    Error::index(format!("{index} cannot be searched with these models: {source}"))
                }
            }
        })?;
        Ok(self.inner.vision.get_or_init(|| vision))
    }

    /// Whether the models are open.
    pub(crate) fn has_vision(&self) -> bool {
        self.inner.vision.get().is_some()
    }

    /// Uses models that are open already.
    pub(crate) fn adopt(&self, vision: Vision) -> &Vision {
        self.inner.vision.get_or_init(|| vision)
    }

    /// Shows a new published state. `complete` is whether it has all that a writer of this process
    /// changed.
    pub(crate) fn publish(&self, published: Arc<Snapshot>, complete: bool) -> Result<()> {
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        match &state.live {
            Some(live) if complete => live.reset(Arc::clone(&published))?,
            Some(live) => live.replaced(Arc::clone(&published))?,
            None => {}
        }
        state.published = Some(published);
        Ok(())
    }

    /// Shows what `live` holds besides.
    pub(crate) fn attach(&self, live: Arc<LiveGallery>) {
        self.inner.state.write().unwrap_or_else(PoisonError::into_inner).live = Some(live);
    }

    fn state<T>(&self, of: impl FnOnce(&State) -> T) -> T {
        of(&self.inner.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}
