//! A photo or an embedding becomes ranked identities with exact distances and a decision.
//!
//! Three steps, one module each: [`Pipeline`] turns photos into probes, [`identify`] ranks a
//! gallery's identities for one probe, and [`PairTrial`]s are judged by [`summarise`]. Everything
//! here sees a gallery only through [`facesearch_core::Gallery`]: candidates may come from any
//! structure, distances are always recomputed from the exact vectors.

mod filter;
mod identify;
mod pairs;
mod pipeline;

pub use filter::Filter;
pub use identify::{Answer, Candidate, CandidateName, Decision, identify};
pub use pairs::{PairTrial, PairsSummary, summarise};
pub use pipeline::{Loaded, PhotoProbe, Pipeline, Probe};
