//! Graphs of both builders against the definition.

use facesearch_core::{
    Effort, Embedding, Gallery, Metric, Publisher, Row, RowSet, SearchRequest, distance,
    squared_distance,
};

use super::beam::{Breadth, NO_LINK, Scratch};
use super::graph::{CodeTable, Graph, Level, find};
use super::in_degree::raise_in_degree;
use super::quantiser::Quantiser;
use super::{flat, hnsw};
use crate::testing::{FakeStore, Random, clustered, oracle, search};
use crate::{Snapshot, SnapshotPublisher};

/// Recall@10 of a graph alone, exact re-ranking of the best 30 included.
fn recall(graph: &Graph, quantiser: &Quantiser, vectors: &[Vec<f32>], width: usize) -> f64 {
    let views: Vec<_> = graph.levels.iter().map(Level::view).collect();
    let mut scratch = Scratch::default();
    let strangers = clustered(100, vectors[0].len(), 77);
    let known = vectors.iter().step_by(vectors.len() / 100).take(100);
    let mut hits = 0;
    for probe in strangers.iter().chain(known) {
        quantiser.probe(probe, &mut scratch.probe, &mut scratch.turned);
        find(graph.codes.view(), &views, vectors.len(), Breadth::all_of(width), &mut scratch);
        let found = scratch.found().take(30).map(|(_, node)| graph.order[node as usize]);
        let mut found: Vec<u32> = found.collect();
        let near: Vec<Vec<f32>> = found.iter().map(|row| vectors[*row as usize].clone()).collect();
        found = oracle(&near, probe, 10).into_iter().map(|i| found[i as usize]).collect();
        hits += oracle(vectors, probe, 10).iter().filter(|row| found.contains(row)).count();
    }
    hits as f64 / 2000.0
}

fn build(vectors: &[Vec<f32>]) -> (Quantiser, Graph) {
    let quantiser = Quantiser::learn(vectors.len(), vectors[0].len(), |i| &vectors[i]);
    let graph = flat::build(vectors.len(), &quantiser, Default::default(), |i| &vectors[i]);
    (quantiser, graph)
}

fn all_are_reached(graph: &Graph) {
    for level in &graph.levels {
        let mut reached = vec![false; level.count];
        reached[0] = true;
        let mut open = vec![0];
        while let Some(node) = open.pop() {
            for link in level.view().of(node) {
                if !std::mem::replace(&mut reached[link as usize], true) {
                    open.push(link);
                }
            }
        }
        assert!(reached.iter().all(|reached| *reached));
    }
}

fn rows_are_sound(graph: &Graph) {
    let mut order = graph.order.clone();
    order.sort_unstable();
    assert!(order.into_iter().eq(0..graph.order.len() as u32), "each vector once");
    for level in &graph.levels {
        for node in 0..level.count as u32 {
            let row = level.view().row(node);
            let mut links: Vec<u32> = level.view().of(node).collect();
            assert!(row[links.len()..].iter().all(|link| *link == NO_LINK));
            assert!(links.iter().all(|link| (*link as usize) < level.count && *link != node));
            links.sort_unstable();
            assert!(links.windows(2).all(|pair| pair[0] != pair[1]), "no link twice");
        }
    }
}

#[test]
fn our_graph_is_about_as_good_as_that_of_hnsw_rs() {
    let vectors = clustered(4_000, 32, 1);
    let (quantiser, ours) = build(&vectors);
    let theirs = hnsw::build(vectors.len(), &quantiser, |i| &vectors[i]);
    for graph in [&ours, &theirs] {
        all_are_reached(graph);
        rows_are_sound(graph);
    }
    for width in [24, 48, 96] {
        let [ours, theirs] =
            [&ours, &theirs].map(|graph| recall(graph, &quantiser, &vectors, width));
        assert!(ours > theirs - 0.02, "width {width}: recall {ours}, not {theirs}");
        assert!(width < 96 || ours > 0.99, "width {width}: recall {ours}");
    }
}

#[test]
fn any_number_of_threads_builds_the_same_graph() {
    let vectors = clustered(3_000, 16, 2);
    let build = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| build(&vectors)).1
    };
    let [a, b] = [1, 5].map(build);
    assert_eq!(a.order, b.order);
    assert_eq!(a.levels, b.levels);
}

#[test]
fn hnsw_rs_builds_the_same_graph_each_time() {
    let vectors = clustered(500, 8, 2);
    let quantiser = Quantiser::learn(vectors.len(), 8, |i| &vectors[i]);
    let build = || hnsw::build(vectors.len(), &quantiser, |i| &vectors[i]);
    let (a, b) = (build(), build());
    assert_eq!((a.order, a.levels), (b.order, b.levels));
}

#[test]
fn links_are_added_to_nodes_that_have_few() {
    let vectors = clustered(6_000, 32, 61);
    let quantiser = Quantiser::learn(vectors.len(), 32, |i| &vectors[i]);
    let Graph { order, codes, levels } = hnsw::build(vectors.len(), &quantiser, |i| &vectors[i]);
    let mut wider = Level::empty(vectors.len(), 48);
    for node in 0..vectors.len() as u32 {
        wider.set(node, &levels[0].view().of(node).collect::<Vec<u32>>());
    }
    let before = Graph { order, codes, levels: vec![wider] };
    let poor = |level: &Level| {
        let mut in_degree = vec![0; level.count];
        level.links.iter().filter(|to| **to != NO_LINK).for_each(|to| in_degree[*to as usize] += 1);
        in_degree.iter().filter(|links| **links < 16).count()
    };
    let mut level = before.levels[0].clone();
    raise_in_degree(before.codes.view(), &mut level);
    let [was, is] = [&before.levels[0], &level].map(poor);
    assert!(was > 20 && is * 10 < was, "{was} nodes with fewer than 16 links to them, then {is}");
    for node in 0..level.count as u32 {
        let [was, is] = [&before.levels[0], &level].map(|level| level.view().row(node));
        let kept = was.iter().zip(is).all(|(was, is)| was == is || *was == NO_LINK);
        assert!(kept, "node {node}");
    }
    let order = before.order.clone();
    let codes = CodeTable::encode(&quantiser, &order, |i| &vectors[i]);
    let after = Graph { order, codes, levels: vec![level] };
    rows_are_sound(&after);
    let [was, is] = [&before, &after].map(|graph| recall(graph, &quantiser, &vectors, 32));
    assert!(is >= was, "recall {was}, then {is}");
}

#[test]
fn copies_of_one_face_leave_all_reachable() {
    let mut vectors = clustered(2_000, 16, 3);
    let mut random = Random(4);
    for i in 0..1_500 {
        let place = random.below(vectors.len());
        vectors.insert(place, if i % 2 == 0 { vec![0.1; 16] } else { vec![-0.2; 16] });
    }
    let (_, graph) = build(&vectors);
    all_are_reached(&graph);
    rows_are_sound(&graph);
    let only_copies = vec![vec![0.5; 16]; 1_000];
    let (_, graph) = build(&only_copies);
    all_are_reached(&graph);
    rows_are_sound(&graph);
}

#[test]
fn a_flood_of_copies_hides_nobody() {
    let mut vectors = clustered(12_000, 16, 31);
    let copied = vectors[77].clone();
    let mut random = Random(32);
    for _ in 0..10_000 {
        let place = random.below(vectors.len());
        // Copies that differ in the last digits too, as those of a re-encoded photo do.
        let off = 1.0 + 1e-6 * random.unit();
        vectors.insert(place, copied.iter().map(|x| x * off).collect());
    }
    let dir = tempfile::tempdir().unwrap();
    let store = FakeStore::with(16, &vectors);
    SnapshotPublisher::new(dir.path()).publish(&store, true).unwrap();
    let snapshot = Snapshot::open(dir.path()).unwrap();
    let (mut hits, mut all) = (0, 0);
    let strangers = clustered(60, 16, 33);
    let known = vectors.iter().step_by(vectors.len() / 60).filter(|v| **v != copied);
    let near_copies = (1..40).map(|i| copied.iter().map(|x| x * (1.0 + 0.01 * i as f32)).collect());
    let probes = strangers.iter().chain(known).cloned().chain(near_copies);
    for probe in probes {
        // A vector as near as the tenth is as good as the tenth: copies cannot be told apart.
        let distances = |effort| {
            let rows = search(&snapshot, &probe, 10, effort);
            let measure = |row| squared_distance(&probe, snapshot.vector(Row(row)));
            rows.into_iter().map(measure).collect::<Vec<f64>>()
        };
        let farthest = distances(Effort::Exact)[9] + 1e-5;
        hits += distances(Effort::Balanced).iter().filter(|d| **d <= farthest).count();
        all += 10;
    }
    assert!(hits * 1000 >= all * 990, "{hits} of {all}");
}

#[test]
fn tiny_graphs_can_be_built() {
    for n in 1..70 {
        let (_, graph) = build(&clustered(n, 3, 5));
        all_are_reached(&graph);
        rows_are_sound(&graph);
    }
}

#[test]
fn long_vectors_of_few_directions_get_short_codes() {
    let short = clustered(700, 24, 41);
    let mut random = Random(42);
    let axes: Vec<Vec<f32>> =
        (0..24).map(|_| (0..600).map(|_| random.normal() / 24.5).collect()).collect();
    let long = |v: &Vec<f32>| -> Vec<f32> {
        let along = |i: usize| v.iter().zip(&axes).map(|(x, axis)| x * axis[i]).sum();
        (0..600).map(along).collect()
    };
    let vectors: Vec<Vec<f32>> = short.iter().map(long).collect();
    let (quantiser, graph) = build(&vectors);
    assert!(quantiser.is_reduced() && quantiser.shape.stride() == 64, "{:?}", quantiser.shape);
    all_are_reached(&graph);
    let views: Vec<_> = graph.levels.iter().map(Level::view).collect();
    let mut scratch = Scratch::default();
    for (row, vector) in (0..).zip(&vectors).step_by(17) {
        quantiser.probe(vector, &mut scratch.probe, &mut scratch.turned);
        find(graph.codes.view(), &views, vectors.len(), Breadth::all_of(32), &mut scratch);
        let found: Vec<u32> =
            scratch.found().take(20).map(|(_, node)| graph.order[node as usize]).collect();
        assert!(oracle(&vectors, vector, 5).iter().all(|near| found.contains(near)), "row {row}");
    }
}

#[test]
fn codes_keep_distances() {
    let vectors = clustered(2_000, 24, 6);
    let quantiser = Quantiser::learn(vectors.len(), 24, |i| &vectors[i]);
    let mut random = Random(7);
    let (mut scratch, mut turned) = (Vec::new(), Vec::new());
    let mut code = vec![0; quantiser.shape.stride()];
    for _ in 0..500 {
        let [a, b] = [0; 2].map(|_| &vectors[random.below(vectors.len())]);
        quantiser.encode(&[a], &mut code, &mut turned);
        quantiser.probe(b, &mut scratch, &mut turned);
        let mut found = Vec::new();
        crate::kernels::measure(
            &scratch,
            crate::kernels::Codes::new(&code, quantiser.shape),
            &[0],
            u32::MAX,
            &mut found,
        );
        let got = (found[0] as f32).sqrt() * quantiser.step;
        let want = distance(a, b).get();
        assert!((got - want).abs() < 0.02, "{got}, not {want}");
    }
}

#[test]
fn a_filter_finds_the_nearest_of_those_it_leaves() {
    for dim in [16, 192] {
        a_filter_finds_the_nearest(dim);
    }
}

/// Of graphs, and of sketches where there are many dimensions.
fn a_filter_finds_the_nearest(dim: usize) {
    let vectors = clustered(16_000, dim, 51);
    let dir = tempfile::tempdir().unwrap();
    let store = FakeStore::with(dim, &vectors);
    SnapshotPublisher::new(dir.path()).publish(&store, true).unwrap();
    let snapshot = Snapshot::open(dir.path()).unwrap();
    assert!(snapshot.certificates().all(|(_, c)| c.scans == (dim == 192)));
    let probes = clustered(60, dim, 52);
    let embeddings: Vec<Embedding> =
        probes.iter().map(|probe| Embedding::new(probe.clone(), Metric::L2).unwrap()).collect();
    let together = snapshot.search(&SearchRequest::new(&embeddings, 10)).unwrap();
    for (probe, together) in embeddings.chunks(1).zip(together) {
        let alone = snapshot.search(&SearchRequest::new(probe, 10)).unwrap().remove(0);
        assert_eq!(
            (together.rows, together.exact, together.examined),
            (alone.rows, false, alone.examined)
        );
    }
    for rarity in [2, 4, 7] {
        let (mut hits, mut walked) = (0, 0);
        for probe in &probes {
            // What is nearest of all is left out, as all photos of somebody may be.
            let nearest = oracle(&vectors, probe, 300);
            let mut among = RowSet::all(vectors.len());
            among
                .retain(|row| (row.0 as usize).is_multiple_of(rarity) && !nearest.contains(&row.0));
            let left: Vec<Vec<f32>> =
                among.iter().map(|row| vectors[row.0 as usize].clone()).collect();
            let rows: Vec<Row> = among.iter().collect();
            let want: Vec<Row> =
                oracle(&left, probe, 10).into_iter().map(|i| rows[i as usize]).collect();
            let probe = Embedding::new(probe.clone(), Metric::L2).unwrap();
            let request = SearchRequest::new(std::slice::from_ref(&probe), 10).among(&among);
            let found = snapshot.search(&request).unwrap().remove(0);
            assert!(found.rows.iter().all(|row| among.contains(*row)));
            assert_eq!(found.rows.len(), 10);
            hits += want.iter().filter(|row| found.rows.contains(row)).count();
            walked += usize::from(!found.exact);
        }
        assert!(walked > 50, "1 in {rarity}: {walked} of 60 were walked");
        assert!(hits >= 588, "1 in {rarity}: {hits} of 600");
    }
}
