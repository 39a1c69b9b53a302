//! Options that several commands share. A command's own options stand with the command.

use std::path::PathBuf;

use clap::Args;
use facesearch::{DecisionRule, Filter, SearchOptions, ThresholdChoice};
use facesearch_core::{Effort, Metric, Threshold, ThresholdSource};

use crate::exit::Failure;

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

    /// A catalogue of models of yours besides the built-in one: a TOML file of the same form
    #[arg(long, global = true, env = "FACESEARCH_CATALOGUE", value_name = "FILE")]
    pub(crate) catalogue: Option<PathBuf>,

    /// Never touch the network
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// Threads to work with (default: one per core)
    #[arg(
        long,
        global = true,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
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

impl Global {
    /// Threads to work with.
    pub(crate) fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }
}

/// Which links are followed
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LinkArgs {
    /// Follow symbolic links that lead out of the paths given, to files and to folders; a path
    /// given that is itself a link is always followed
    #[arg(long)]
    pub(crate) follow_links: bool,
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
    pub(crate) threshold: Option<ThresholdChoice>,

    /// Share of strangers who may be given a name (default: 0.01)
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) fpir: Option<f64>,

    /// What decides: `crowd`, how much nearer somebody is than other people would be, within the
    /// threshold; or `distance`, the threshold alone, which with --fpir follows from the index's
    /// calibration
    #[arg(long, default_value = "crowd", value_name = "RULE", value_parser = rule)]
    pub(crate) decision: DecisionRule,

    /// Work per search: fast, balanced, high, exact, or a number of open candidates
    #[arg(long, default_value = "balanced", value_parser = effort)]
    pub(crate) effort: Effort,

    /// Say of each answer how it was found
    #[arg(long)]
    pub(crate) explain: bool,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

impl Search {
    /// The same for the library.
    ///
    /// Fails where the distance shall decide alone and is given twice.
    pub(crate) fn options(&self) -> anyhow::Result<SearchOptions> {
        let calibrated = match self.decision {
            DecisionRule::Distance => self.fpir.map(ThresholdChoice::Fpir),
            DecisionRule::Crowd => None,
        };
        if calibrated.is_some() && self.threshold.is_some() {
            return Err(Failure::usage(
                "with --decision distance, --threshold and --fpir are two thresholds; give one",
            ));
        }
        Ok(SearchOptions {
            k: self.k,
            threshold: calibrated.or_else(|| self.threshold.clone()).unwrap_or_default(),
            rule: self.decision,
            rate: self.fpir,
            effort: self.effort,
            filter: self.filter.filter(),
            explain: self.explain,
        })
    }
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
    fn filter(&self) -> Filter {
        Filter {
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

/// A rule by its name.
fn rule(typed: &str) -> Result<DecisionRule, String> {
    match typed {
        "crowd" => Ok(DecisionRule::Crowd),
        "distance" => Ok(DecisionRule::Distance),
        _ => Err("crowd or distance".into()),
    }
}

/// A metric by its name.
pub(crate) fn metric(typed: &str) -> Result<Metric, String> {
    let known = [Metric::L2, Metric::NormalisedL2, Metric::Cosine, Metric::Angular];
    let found = known.into_iter().find(|metric| metric.name() == typed);
    found.ok_or_else(|| "l2, normalised-l2, cosine or angular".into())
}

/// A threshold: a number, or the name of one that somebody published.
pub(crate) fn threshold_or_preset(typed: &str) -> Result<ThresholdChoice, String> {
    if typed.starts_with(|c: char| c.is_ascii_alphabetic()) && typed.parse::<f32>().is_err() {
        return Ok(ThresholdChoice::Preset(typed.to_owned()));
    }
    threshold(typed).map(ThresholdChoice::Given)
}

/// The threshold that was typed as a number.
pub(crate) fn given_threshold(l2: f32) -> anyhow::Result<Threshold> {
    let given = Threshold::new(l2, ThresholdSource::Given);
    given.ok_or_else(|| Failure::usage(format!("{l2} is no threshold")))
}

/// The threshold that was typed as a number, or the model's own.
pub(crate) fn given_or_own(typed: Option<f32>) -> ThresholdChoice {
    typed.map_or(ThresholdChoice::Own, ThresholdChoice::Given)
}

fn effort(typed: &str) -> Result<Effort, String> {
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
    #[test]
    fn a_threshold_of_zero_is_a_value() {
        assert_eq!(super::threshold("0"), Ok(0.0));
        for wrong in ["-0.1", "nan", "inf", "1e39", "", "x"] {
            assert!(super::threshold(wrong).is_err(), "{wrong}");
        }
    }
}
