//! `facesearch models cohort`: fits the crowd that a model's faces are judged by.

use std::path::PathBuf;

use clap::Args;
use facesearch::{CohortReport, Models};

use crate::printer::{Printer, count, shown};

/// Fit the crowd that faces of a model are judged by to the people of indexes
///
/// The indexes must be of one model. Each is a population that counts as much as every other, so
/// give people of different parts of the world in an index each. What is kept are statistics:
/// nobody's face can be got from it.
#[derive(Debug, Args)]
pub(crate) struct CohortArgs {
    /// Directories of indexes
    #[arg(required = true, value_name = "DIR")]
    pub(crate) indexes: Vec<PathBuf>,

    /// Where to keep it (default: among the model files, where searches find it)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(models: &Models, args: &CohortArgs, out: &mut Printer) -> anyhow::Result<()> {
    let report = models.fit_cohort(&args.indexes, args.out.as_deref())?;
    if args.json {
        return out.json(&report);
    }
    let CohortReport { kept, facts, nearest_point, nearest_person } = &report;
    let people = facts.people.iter().map(|people| count(*people as u64, "person", "people"));
    out.line(format!(
        "{}: {} components of {} directions, fitted to {}",
        facts.model,
        facts.components,
        facts.rank,
        people.collect::<Vec<_>>().join(" and ")
    ))?;
    out.line(format!(
        "from a face to the nearest point {:.3} at least, {:.3} in the median; to the nearest \
         other person {:.3} and {:.3}",
        nearest_point[0], nearest_point[1], nearest_person[0], nearest_person[1]
    ))?;
    out.line(format!("kept in {}", shown(kept)))
}
