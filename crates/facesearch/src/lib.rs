//! Face search: find every face in photos, keep it, and say who is in a new photo.
//!
//! An [`Engine`] writes an index and searches it; a [`Reader`] only searches, and is cheap to clone
//! and to share between threads. Photos become faces through the models of a catalogue
//! ([`Models`]), whose files are fetched when they are first needed and checked by SHA-256.
//!
//! ```no_run
//! use facesearch::{Engine, Enrolment, Options};
//!
//! let mut engine = Engine::create("faces.index", Options::default())?;
//! engine.index(["photos"]).run()?; // the whole folder
//! engine.add(Enrolment::photo("anna.jpg").identity("Anna"))?; // found by the next query
//! for face in engine.query("new.jpg").k(5).run()?.faces {
//!     println!("{}", face.decision); // Anna, distance 0.313 (within 0.55)
//! }
//! # Ok::<(), facesearch::Error>(())
//! ```
//!
//! Every distance is exact: whatever structure proposes candidates, the distance to each is
//! computed from the full embeddings, in `f64`, and the threshold is applied to that number. Nobody
//! within the threshold is an answer, too: unknown.
//!
//! Nothing here prints, reads the environment or ends the process. Errors have a kind
//! ([`Error::code`]) that a program can decide by.

#![forbid(unsafe_code)]

mod answer;
mod bench;
mod calibrate;
mod calibration;
mod cohort;
mod compare;
mod composition;
mod engine;
mod enrol;
mod error;
mod exchange;
mod imported;
mod index;
mod labelled;
mod maintenance;
mod model_import;
mod models;
mod options;
mod people;
mod reader;
mod recogniser;
mod samples;
mod search;
mod search_options;
mod stats;
mod threads;
mod vision;
mod writer;

pub use answer::{CandidateAnswer, Decision, Explanation, FaceAnswer, PhotoAnswer, Place, Verdict};
pub use bench::{BenchGraph, BenchNetwork};
pub use calibrate::{CalibrationReport, RATES};
pub use cohort::{CohortReport, read_cohort};
pub use compare::{Prominent, Represented, RepresentedFace, Verified};
pub use composition::Composition;
pub use engine::Engine;
pub use enrol::{Added, Enrolment};
pub use error::{Error, ErrorCode, Result};
pub use exchange::{ImportOptions, ImportReport, NamedEmbeddings, write_embeddings};
pub use index::{IndexReport, IndexRun};
pub use labelled::{NamedFaces, by_folder, named_rows, photo_names, photos_in, unnamed_rows};
pub use maintenance::{Removal, Removed};
pub use model_import::ModelFile;
pub use models::{FileCheck, ImportedCheck, ImportedEntry, ModelEntry, ModelPreset, Models};
pub use options::{DeviceChoice, NetworkOptions, Options, PrecisionChoice, VisionOptions};
pub use people::{PeopleChange, Person, PersonFace, Said};
pub use reader::Reader;
pub use samples::SamplePhoto;
pub use search::{Query, Search, TOGETHER};
pub use search_options::{DecisionRule, RATE, SearchOptions, ThresholdChoice};
pub use stats::{Outcomes, Qualities, SegmentStats, Stats};
pub use threads::start_threads;
pub use vision::{PORTION, SMALLEST_FACE, Vision, listed_photo, photo_bytes, read_photo};

pub use facesearch_exchange::{Cell, ExchangeError, Kind, guard_cell, unguard_cell, write_table};
pub use facesearch_indexer::{IdentityRule, IdentityTable, PhotosBelow};
pub use facesearch_nn::{LayerTime, MachineLimits};
pub use facesearch_people as people_tools;
pub use facesearch_query::{Doubt, Filter};
pub use facesearch_vision::{ColourOrder, Normalisation, Precision};
pub use facesearch_zoo::Check;
