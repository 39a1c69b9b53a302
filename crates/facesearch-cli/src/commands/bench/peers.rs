//! The other side of a comparison: a script that measures when it is asked to.
//!
//! One request a line goes in as JSON, one answer a line comes out, so that both sides of a row are
//! measured in turn within the same seconds.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Measure;
use crate::exit::Failure;
use crate::printer::shown;

/// How fast a peer was, in things a second.
#[derive(Debug, Deserialize)]
pub(super) struct Rate {
    pub(super) peer: String,
    pub(super) rate: f64,
}

/// The script while it runs.
pub(super) struct Peers {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peers {
    /// Starts the script, if one was named.
    pub(super) fn start(measure: &Measure) -> anyhow::Result<Option<Self>> {
        let Some(script) = &measure.peers else { return Ok(None) };
        let mut child = Command::new(&measure.python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let python = shown(&measure.python);
                Failure::usage(format!("cannot run {python}: {error}; name one with --python"))
            })?;
        let requests = child.stdin.take();
        let answers = child.stdout.take().context("the script has no output")?;
        Ok(Some(Self { child, requests, answers: BufReader::new(answers) }))
    }

    /// What the peers make of one request, such as the rates of a row.
    pub(super) fn ask<T: DeserializeOwned>(
        &mut self,
        request: &impl Serialize,
    ) -> anyhow::Result<Vec<T>> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        let requests = self.requests.as_mut().context("the script takes no more requests")?;
        requests.write_all(line.as_bytes()).context("the script of the peers has ended")?;
        requests.flush()?;
        line.clear();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).context("the script of the peers has ended; it says why above")
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // Without requests it ends by itself.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

/// Measures both sides in turn, as often as there are rounds, and keeps the best of each.
pub(super) fn in_turn(
    measure: &Measure,
    peers: &mut Option<Peers>,
    request: &impl Serialize,
    mut ours: impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<(f64, Vec<Rate>)> {
    let (mut best, mut rates) = (0f64, Vec::<Rate>::new());
    for _ in 0..measure.rounds {
        best = best.max(ours()?);
        let Some(peers) = peers else { continue };
        let round: Vec<Rate> = peers.ask(request)?;
        if rates.is_empty() {
            rates = round;
        } else {
            for (rate, new) in rates.iter_mut().zip(round) {
                rate.rate = rate.rate.max(new.rate);
            }
        }
    }
    Ok((best, rates))
}
