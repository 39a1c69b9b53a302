//! How many identities a search ranks.

use facesearch_core::{Gallery, RowSet};

/// How many identities a search among the rows in `among` ranks, counted as in
/// [`Gallery::people`].
pub fn people_among(gallery: &dyn Gallery, among: &RowSet) -> usize {
    let mut seen = vec![false; gallery.identity_count()];
    let mut people = 0;
    for row in among.iter() {
        let is_new = match gallery.face(row).identity {
            Some(identity) => !std::mem::replace(&mut seen[identity.0 as usize], true),
            None => true,
        };
        people += usize::from(is_new);
    }
    people
}
