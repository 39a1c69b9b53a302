//! Which faces a search may find: by who they are, where their photo lies, and when they came.

use std::path::PathBuf;

use facesearch_core::{Gallery, GalleryError, Row, RowSet};

/// What a face must be to be found. Empty conditions ask for nothing; all others must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these identities.
    pub within: Vec<String>,
    /// None of these identities.
    pub without: Vec<String>,
    /// In a photo at this path or below it, by whole components.
    pub path_prefix: Option<PathBuf>,
    /// Published at this time or later, seconds since 1970.
    pub added_after: Option<i64>,
    /// Published before this time.
    pub added_before: Option<i64>,
}

impl Filter {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rows of `gallery` that pass; an identity that is not there has none.
    ///
    /// - **Cost:** for a path, one look at every photo and face; for a time, one at every face; for
    ///   identities, one at each of their faces.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where the tables are not as they were written.
    pub fn rows(&self, gallery: &dyn Gallery) -> Result<RowSet, GalleryError> {
        gallery.verify_tables()?;
        let rows_of = |label: &String| {
            gallery
                .find_identity(label)
                .map(|identity| gallery.rows_of(identity))
                .unwrap_or_default()
        };
        let mut rows = match &self.within[..] {
            [] => RowSet::all(gallery.len()),
            labels => {
                let mut rows = RowSet::none(gallery.len());
                labels.iter().flat_map(rows_of).for_each(|row| rows.insert(row));
                rows
            }
        };
        self.without.iter().flat_map(rows_of).for_each(|row| rows.remove(row));
        if let Some(prefix) = &self.path_prefix {
            let mut passes = vec![None; gallery.photo_count()];
            rows.retain(|row| {
                let photo = gallery.face(row).photo;
                let place = &mut passes[photo.0 as usize];
                *place.get_or_insert_with(|| gallery.photo_path(photo).starts_with(prefix))
            });
        }
        if self.added_after.is_some() || self.added_before.is_some() {
            rows.retain(|row| self.passes_time(gallery, row));
        }
        Ok(rows)
    }

    fn passes_time(&self, gallery: &dyn Gallery, row: Row) -> bool {
        let Some(added) = gallery.added(gallery.face(row).id) else { return false };
        self.added_after.is_none_or(|after| added >= after)
            && self.added_before.is_none_or(|before| added < before)
    }
}
