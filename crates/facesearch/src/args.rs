//! What can be typed. The commands' own options stand with the commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use facesearch_core::{Contract, Metric, Threshold, ThresholdSource};
use facesearch_zoo::{Preset, Zoo};

use crate::commands::{
    audit, batch, bench, calibrate, cluster, demo, eval, export, identity, import, index, models,
    optimize, purge, query, remove, represent, stats, verify,
};
use crate::exit::Failure;

/// Find every face in your photos, and say who is in a new one
#[derive(Debug, Parser)]
#[command(name = "facesearch", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  found, verified, done
  1  nobody found, not the same person
  2  wrong usage
  3  input unreadable, or no face in it
  4  index missing, damaged or of another model
  5  finished, with files that failed
  6  model or device unusable
  130  interrupted; what was done is kept";

/// Options of every command
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Directory of the index
    #[arg(
        long,
        global = true,
        env = "FACESEARCH_INDEX",
        default_value = "facesearch.index",
        value_name = "DIR"
    )]
    pub(crate) index: PathBuf,

    /// Directory that model files are kept in (default: the platform's cache folder)
    #[arg(long, global = true, env = "FACESEARCH_MODELS", value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,

    /// Never touch the network
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// Threads to work with (default: one per core)
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Where models run
    #[arg(long, global = true, default_value = "cpu", value_name = "cpu|cuda:N")]
    pub(crate) device: String,

    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Say more of what happens; repeat for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Index(index::IndexArgs),
    Cluster(cluster::ClusterArgs),
    Identity(identity::IdentityArgs),
    Query(query::QueryArgs),
    Batch(batch::BatchArgs),
    Verify(verify::VerifyArgs),
    Represent(represent::RepresentArgs),
    Stats(stats::StatsArgs),
    Audit(audit::AuditArgs),
    Calibrate(calibrate::CalibrateArgs),
    Eval(eval::EvalArgs),
    Bench(bench::BenchArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Remove(remove::RemoveArgs),
    Purge(purge::PurgeArgs),
    Optimize(optimize::OptimizeArgs),
    Models(models::ModelsArgs),
    Demo(demo::DemoArgs),
}

/// How faces are searched and judged
#[derive(Debug, Args)]
pub(crate) struct Search {
    /// How many identities to rank for each face
    #[arg(short, long, default_value_t = 5, value_name = "N")]
    pub(crate) k: usize,

    /// Largest distance that counts as the same person, or the name of a published preset such as
    /// deepface-lib (default: the model's own)
    #[arg(long, value_name = "D|PRESET", value_parser = threshold_or_preset)]
    pub(crate) threshold: Option<ThresholdArg>,

    /// Share of strangers who may be given a name; the threshold follows from the index's
    /// calibration and its size
    #[arg(long, value_name = "RATE", value_parser = rate, conflicts_with = "threshold")]
    pub(crate) fpir: Option<f64>,

    /// Work per search: fast, balanced, high, exact, or a number of open candidates
    #[arg(long, default_value = "balanced", value_parser = effort)]
    pub(crate) effort: facesearch_core::Effort,

    /// Say of each answer how it was found
    #[arg(long)]
    pub(crate) explain: bool,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Which faces may be found
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Only this identity; may be repeated
    #[arg(long = "in", value_name = "IDENTITY")]
    pub(crate) within: Vec<String>,

    /// Not this identity; may be repeated
    #[arg(long = "not-in", value_name = "IDENTITY")]
    pub(crate) without: Vec<String>,

    /// Only photos at or below this path, as the index has it
    #[arg(long, value_name = "PATH")]
    pub(crate) path_prefix: Option<PathBuf>,

    /// Only faces that came into the index then or later: 2026-01-31, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) added_after: Option<i64>,

    /// Only faces that came into the index before
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) added_before: Option<i64>,
}

impl FilterArgs {
    /// The same for the library.
    pub(crate) fn filter(&self) -> facesearch_query::Filter {
        facesearch_query::Filter {
            within: self.within.clone(),
            without: self.without.clone(),
            path_prefix: self.path_prefix.clone(),
            added_after: self.added_after,
            added_before: self.added_before,
        }
    }
}

/// Seconds since 1970; a day begins at midnight UTC.
fn time(typed: &str) -> Result<i64, String> {
    if let Ok(time) = typed.parse::<jiff::Timestamp>() {
        return Ok(time.as_second());
    }
    let day = typed.parse::<jiff::civil::DateTime>();
    let zoned = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC));
    let wrong = |_| "a day such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z".to_owned();
    zoned.map(|zoned| zoned.timestamp().as_second()).map_err(wrong)
}

/// A distance: a number that is not negative. 0 is a value, not "unset".
pub(crate) fn threshold(typed: &str) -> Result<f32, String> {
    match typed.parse::<f32>() {
        Ok(d) if d >= 0.0 && d.is_finite() => Ok(d),
        _ => Err("a distance is a number that is not negative, such as 0.55".into()),
    }
}

/// A share that is neither nothing nor all.
pub(crate) fn rate(typed: &str) -> Result<f64, String> {
    match typed.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate < 1.0 => Ok(rate),
        _ => Err("a rate is a number above 0 and below 1, such as 0.001".into()),
    }
}

/// A metric by its name.
pub(crate) fn metric(typed: &str) -> Result<Metric, String> {
    let known = [Metric::L2, Metric::NormalisedL2, Metric::Cosine, Metric::Angular];
    let found = known.into_iter().find(|metric| metric.name() == typed);
    found.ok_or_else(|| "l2, normalised-l2, cosine or angular".into())
}

/// A threshold as typed: a number, or the name of one that somebody published.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ThresholdArg {
    L2(f32),
    Preset(String),
}

impl ThresholdArg {
    /// The threshold to decide by: what was typed, or the model's own.
    pub(crate) fn or_own(typed: Option<&Self>, contract: &Contract) -> anyhow::Result<Threshold> {
        let given = typed.map(|typed| typed.resolve(contract)).transpose()?;
        Ok(contract.threshold_or_own(given)?)
    }

    /// The threshold that is meant, for the model that `contract` names.
    fn resolve(&self, contract: &Contract) -> anyhow::Result<Threshold> {
        let preset = match self {
            Self::L2(l2) => return given_threshold(*l2),
            Self::Preset(preset) => preset,
        };
        let zoo = Zoo::builtin();
        let presets = zoo.model(&contract.model).map(|model| &model.presets[..]).unwrap_or(&[]);
        let of_metric = |p: &&Preset| p.metric.is_normalised() == contract.metric.is_normalised();
        // Several numbers of one source need not agree: that of the very metric comes first.
        let mut fitting: Vec<_> =
            presets.iter().filter(of_metric).filter(|p| p.name == *preset).collect();
        fitting.sort_by_key(|p| p.metric != contract.metric);
        let source = || ThresholdSource::Preset(preset.clone());
        if let Some(found) = fitting.first().and_then(|found| Threshold::new(found.l2(), source()))
        {
            return Ok(found);
        }
        let known: Vec<_> = presets.iter().filter(of_metric).map(|p| p.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Failure::usage(format!(
            "no threshold called `{preset}` is known for {} and {}; known: {known}",
            contract.model, contract.metric
        )))
    }
}

/// A threshold that was typed as a number.
pub(crate) fn given_threshold(l2: f32) -> anyhow::Result<Threshold> {
    let given = Threshold::new(l2, ThresholdSource::Given);
    given.ok_or_else(|| Failure::usage(format!("{l2} is no threshold")))
}

pub(crate) fn threshold_or_preset(typed: &str) -> Result<ThresholdArg, String> {
    if typed.starts_with(|c: char| c.is_ascii_alphabetic()) && typed.parse::<f32>().is_err() {
        return Ok(ThresholdArg::Preset(typed.to_owned()));
    }
    threshold(typed).map(ThresholdArg::L2)
}

/// As it is typed.
pub(crate) fn effort_name(effort: facesearch_core::Effort) -> String {
    use facesearch_core::Effort;
    match effort {
        Effort::Fast => "fast".into(),
        Effort::Balanced => "balanced".into(),
        Effort::High => "high".into(),
        Effort::Exact => "exact".into(),
        Effort::List(list) => list.to_string(),
    }
}

fn effort(typed: &str) -> Result<facesearch_core::Effort, String> {
    use facesearch_core::Effort;
    match typed {
        "fast" => Ok(Effort::Fast),
        "balanced" => Ok(Effort::Balanced),
        "high" => Ok(Effort::High),
        "exact" => Ok(Effort::Exact),
        number => match number.parse() {
            Ok(list) if list > 0 => Ok(Effort::List(list)),
            _ => Err("fast, balanced, high, exact, or a number above 0".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn a_threshold_of_zero_is_a_value() {
        assert_eq!(super::threshold("0"), Ok(0.0));
        for wrong in ["-0.1", "nan", "inf", "1e39", "", "x"] {
            assert!(super::threshold(wrong).is_err(), "{wrong}");
        }
    }
}
