//! How many identities a search ranks.

use facesearch_core::{Gallery, Row, RowSet};

/// How many identities a search in `gallery` ranks: each name once, and each face without a name
/// for itself. Reads every face of a gallery whose tables must have been verified.
pub fn people_in(gallery: &dyn Gallery) -> usize {
    let rows = (0..gallery.len() as u32).map(Row);
    let unnamed = rows.filter(|row| gallery.face(*row).identity.is_none()).count();
    gallery.identity_count() + unnamed
}

/// How many identities a search among the rows in `among` ranks, counted as in [`people_in`].
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
