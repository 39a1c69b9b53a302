//! A photo or an embedding becomes ranked identities with exact distances and a decision.
//!
//! Two steps, one module each: [`Pipeline`] turns photos into probes, [`identify`] ranks a
//! gallery's identities for one probe. Everything here sees a gallery only through
//! [`facesearch_core::Gallery`]: candidates may come from any structure, distances are always
//! recomputed from the exact vectors.

mod filter;
mod identify;
mod pipeline;

pub use filter::Filter;
pub use identify::{
    Answer, Candidate, CandidateName, CrowdRule, Decision, Doubt, Evidence, Judge, identify,
};
pub use pipeline::{Loaded, PhotoProbe, Pipeline, Probe};
