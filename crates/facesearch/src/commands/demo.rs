//! `facesearch demo`: the whole path once, on a handful of photos of public figures.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use facesearch_zoo::{FetchOptions, Role, Sample, Samples};

use super::{index, query};
use crate::args::{Cli, Command, Global};
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
    let samples = Samples::builtin();
    let photos = lay_out(&samples, &args.dir, global, out)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let index = text(&args.dir.join("index"));
    let people = text(&args.dir.join("people"));

    let typed = announce(vec!["index".into(), people, "--index".into(), index.clone()], out)?;
    let global = Global { index: typed.global.index.clone(), ..global.clone() };
    if let Command::Index(args) = &typed.command {
        index::run(args, &global, out)?;
    }
    out.line("")?;

    let mut words = vec!["query".into(), "-k".into(), "2".into(), "--index".into(), index];
    words.extend(photos.iter().map(|(path, _)| text(path)));
    let typed = announce(words, out)?;
    let mut said = Vec::new();
    if let Command::Query(args) = &typed.command {
        query::ask(args, &global, out, |report, _| {
            said.push(report.faces.into_iter().next().and_then(|face| face.identity));
            Ok(())
        })?;
    }
    out.line("")?;
    judge(&samples, &photos, &said, out)
}

/// Copies the photos out of the cache: `people/NAME/` to index, `new/` to ask about.
fn lay_out(
    samples: &Samples,
    dir: &Path,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Vec<(PathBuf, Sample)>> {
    let cache = open::cache(global)?;
    let options = FetchOptions { offline: global.offline, ..FetchOptions::default() };
    let artifacts = samples.photos().iter().map(|sample| &sample.artifact);
    let files = open::fetch(&cache, artifacts, options, out)?;
    let mut queries = Vec::new();
    for (sample, file) in samples.photos().iter().zip(files) {
        let folder = match sample.role {
            Role::Index => dir.join("people").join(&sample.identity),
            Role::Query => dir.join("new"),
        };
        let to = folder.join(&sample.artifact.file);
        let made = fs::create_dir_all(&folder).and_then(|()| fs::copy(&file, &to));
        made.map_err(Unwritable::file(&to))?;
        if sample.role == Role::Query {
            queries.push((to, sample.clone()));
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
    samples: &Samples,
    photos: &[(PathBuf, Sample)],
    said: &[Option<String>],
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let mut right = 0;
    for ((path, sample), said) in photos.iter().zip(said) {
        let truth = samples.is_indexed(&sample.identity).then_some(&sample.identity);
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
