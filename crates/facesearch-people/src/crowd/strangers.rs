//! People who are strangers to each other, with the crowding of each.

use facesearch_core::{distance, squared_distance};

use super::tail::Strangers;
use super::{Crowding, score};

/// One face of each person.
pub(super) struct Population<'a> {
    pub(super) faces: Vec<&'a [f32]>,
    pub(super) crowding: Vec<Crowding>,
    /// The deviation that is usual.
    pub(super) usual: f64,
}

impl Strangers for Population<'_> {
    fn people(&self) -> usize {
        self.faces.len()
    }

    fn best(&self, probe: usize, gallery: &[usize]) -> Option<f64> {
        let face = self.faces[probe];
        let squared =
            gallery.iter().map(|other| (squared_distance(face, self.faces[*other]), other));
        let (_, nearest) = squared.min_by(|a, b| a.0.total_cmp(&b.0))?;
        let distance = distance(face, self.faces[*nearest]).get();
        Some(score(distance.into(), self.crowding[probe], self.crowding[*nearest], self.usual))
    }
}
