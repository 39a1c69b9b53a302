//! How likely a stranger reaches a score, in a gallery of N people.

use serde::{Deserialize, Serialize};

use crate::PeopleError;
use crate::calibrate::{Impostors, nearest_impostors};

/// Added to a score, so that it is never negative: [`Impostors`] knows distances.
const SHIFT: f64 = 64.0;

/// The probability that the best score of a stranger is at most a number, by gallery size.
///
/// Learned from people who are strangers to each other. Scores are normalised, so that what one
/// population shows holds for others, which is not so of distances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrangerTail(Impostors);

impl StrangerTail {
    /// Learns it from the scores of each stranger with all people of a gallery.
    ///
    /// # Errors
    ///
    /// [`PeopleError::TooFew`] with fewer than 20 strangers or 20 people.
    pub fn fit(strangers: impl IntoIterator<Item = Vec<f64>>) -> Result<Self, PeopleError> {
        let shifted = strangers.into_iter().map(|scores| {
            scores.into_iter().map(|score| (score + SHIFT).max(0.0) as f32).collect()
        });
        Ok(Self(nearest_impostors(shifted)?))
    }

    /// The probability that a stranger reaches `score` or better with one of `people`.
    pub fn chance(&self, score: f64, people: usize) -> f64 {
        self.0.fpir((score + SHIFT).max(0.0), people)
    }

    /// The largest score that at most a share `rate` of strangers reaches with one of `people`.
    ///
    /// # Errors
    ///
    /// [`PeopleError::Option`] where `rate` is not above 0 and below 1.
    pub fn threshold(&self, rate: f64, people: usize) -> Result<f64, PeopleError> {
        Ok(self.0.threshold(rate, people)? - SHIFT)
    }
}
