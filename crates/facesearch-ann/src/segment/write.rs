//! Builds and seals a segment.

use facesearch_core::StoreError;

use super::certificate::Task;
use super::flat::{self, BuildOptions};
use super::graph::Graph;
use super::layout::Layout;
use super::quantiser::Quantiser;
use super::sketch::Sketches;
use crate::files::{DataFile, FileSeal, Header, Kind};
use crate::kernels::LINE;

/// Recall@10 that codes of a few directions must reach to be used.
const ENOUGH: f32 = 0.99;

/// Builds the structure of the `n` vectors that `vector` gives and writes it to `file`.
pub(crate) fn write_segment<'a>(
    mut file: DataFile,
    n: usize,
    dim: usize,
    vector: impl Fn(usize) -> &'a [f32] + Sync,
) -> Result<FileSeal, StoreError> {
    let task = Task::new(n, &vector);
    let build = |quantiser: &Quantiser| {
        let graph = flat::build(n, quantiser, BuildOptions::default(), &vector);
        let walks = task.walks(&graph, quantiser);
        let sketches = quantiser
            .has_many_directions()
            .then(|| Sketches::new(quantiser, &graph.order, &vector));
        if let Some(sketches) = sketches.flatten() {
            let scans = task.scans(&sketches, &graph, quantiser);
            if scans.beats(&walks) {
                let graph = Graph { levels: Vec::new(), ..graph };
                return (graph, Some(sketches), scans.certificate);
            }
        }
        (graph, None, walks.certificate)
    };
    let mut quantiser = Quantiser::learn(n, dim, &vector);
    let (mut graph, mut sketches, mut certificate) = build(&quantiser);
    if quantiser.is_reduced() && certificate.recall_at_10 < ENOUGH {
        tracing::info!(faces = n, ?certificate, "a few directions do not tell these faces apart");
        quantiser = Quantiser::learn_whole(n, dim, &vector);
        (graph, sketches, certificate) = build(&quantiser);
    }
    tracing::info!(faces = n, ?certificate, "built a search structure");
    let layout = Layout {
        nodes: n,
        dim,
        code_dim: quantiser.code_dim,
        shape: quantiser.shape,
        turned: !quantiser.basis.is_empty(),
        step: quantiser.step,
        link: Layout::link_for(n),
        levels: graph.levels.iter().map(|level| (level.count, level.degree)).collect(),
        directions: sketches.as_ref().map_or(0, |sketches| sketches.steps.len()),
        certificate,
    };
    file.write(&layout.to_bytes())?;
    file.write(bytemuck::cast_slice(&quantiser.centre))?;
    file.write(bytemuck::cast_slice(&quantiser.basis))?;
    if let Some(sketches) = &sketches {
        file.write(bytemuck::cast_slice(&sketches.steps))?;
    }
    file.write(bytemuck::cast_slice(&graph.order))?;
    for level in &graph.levels {
        file.align(LINE as u64)?;
        let link = |link: &u32| link.to_le_bytes().into_iter().take(layout.link);
        for some in level.links.chunks(1 << 16) {
            file.write(&some.iter().flat_map(link).collect::<Vec<u8>>())?;
        }
    }
    file.align(LINE as u64)?;
    file.write(graph.codes.bytes())?;
    if let Some(sketches) = &sketches {
        file.write(&sketches.blocks)?;
    }
    file.seal(Header { kind: Kind::Segment, count: n as u64, extra: dim as u64 })
}
