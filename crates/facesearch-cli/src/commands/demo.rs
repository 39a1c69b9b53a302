//! `facesearch demo`: the whole path once, on a handful of photos of public figures.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use facesearch::SamplePhoto;

use super::{index, query};
use crate::args::Global;
use crate::cli::{Cli, Command};
use crate::exit::{Exit, Unwritable};
use crate::open;
use crate::printer::{Printer, shown};

/// Fetch sample photos, index some, and say who is in the others
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder for the photos and the index
    #[arg(default_value = "facesearch-demo", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Exits with 0 where everybody was named right, and the stranger not at all; with 1 otherwise.
pub(crate) fn run(args: &DemoArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let samples = open::models(global, out)?.samples()?;
    let photos = lay_out(&samples, &args.dir)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let index = text(&args.dir.join("index"));
    let people = text(&args.dir.join("people"));

    let typed = announce(vec!["index".into(), people, "--index".into(), index.clone()], out)?;
    let global = Global { index: typed.global.index.clone(), ..global.clone() };
    if let Command::Index(args) = &typed.command
        && let interrupted @ Exit::Interrupted = index::run(args, &global, out)?
    {
        return Ok(interrupted);
    }
    out.line("")?;

    let mut words = vec!["query".into(), "-k".into(), "2".into(), "--index".into(), index];
    words.extend(photos.iter().map(|(path, _)| text(path)));
    let typed = announce(words, out)?;
    let mut said = Vec::new();
    if let Command::Query(args) = &typed.command {
        query::ask(args, &global, out, |report, _| {
            said.push(report.faces.into_iter().next().and_then(|face| face.decision.identity));
            Ok(())
        })?;
    }
    out.line("")?;
    judge(&samples, &photos, &said, out)
}

/// Copies the photos out of the cache: `people/NAME/` to index, `new/` to ask about, which are
/// given back.
fn lay_out<'s>(
    samples: &'s [SamplePhoto],
    dir: &Path,
) -> anyhow::Result<Vec<(PathBuf, &'s SamplePhoto)>> {
    let mut queries = Vec::new();
    for sample in samples {
        let folder = match sample.enrolled {
            true => dir.join("people").join(&sample.identity),
            false => dir.join("new"),
        };
        let to = folder.join(&sample.name);
        let made = fs::create_dir_all(&folder).and_then(|()| fs::copy(&sample.path, &to));
        made.map_err(Unwritable::file(&to))?;
        if !sample.enrolled {
            queries.push((to, sample));
        }
    }
    Ok(queries)
}

/// Prints a command, and parses it exactly as if it had been typed.
fn announce(words: Vec<String>, out: &mut Printer) -> anyhow::Result<Cli> {
    let words: Vec<String> = std::iter::once("facesearch".into()).chain(words).collect();
    let quoted = words
        .iter()
        .map(|word| if word.contains(' ') { format!("'{word}'") } else { word.clone() });
    out.line(format!("$ {}", quoted.collect::<Vec<_>>().join(" ")))?;
    out.flush()?;
    Ok(Cli::try_parse_from(words)?)
}

/// Compares what was said of the largest faces with who is really in the photos.
fn judge(
    samples: &[SamplePhoto],
    photos: &[(PathBuf, &SamplePhoto)],
    said: &[Option<String>],
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let mut right = 0;
    for ((path, sample), said) in photos.iter().zip(said) {
        let is_enrolled = |other: &SamplePhoto| other.enrolled && other.identity == sample.identity;
        let truth = samples.iter().any(is_enrolled).then_some(&sample.identity);
        let is_right = said.as_ref() == truth;
        right += usize::from(is_right);
        let verdict = if is_right { "right" } else { "wrong" };
        let (path, who) = (shown(path), &sample.identity);
        let said = said.as_deref().unwrap_or("unknown");
        let note = if truth.is_none() { ", who is not in the index" } else { "" };
        out.line(format!("{verdict}: {path} shows {who}{note}; the answer is {said}"))?;
    }
    out.line(format!("{right} of {} as it should be", photos.len()))?;
    Ok(if right == photos.len() { Exit::Success } else { Exit::Nobody })
}
