"""Other libraries on the task that `benches/ann.rs` left in a directory, one thread, CPU time.

Usage: ann_peers.py DIR DIM PEER...   with PEER among hnswlib, faiss-hnsw, faiss-ivf-sq8, usearch-f32,
usearch-i8, svs-f16. Packages: see docs/ann.md. Results are recall@10 and queries a second; whoever
re-ranks by himself (usearch i8) gets the time of exact re-ranking of his best 40 for nothing.
"""

import sys
import time
from pathlib import Path

import numpy as np

K = 10
THREADS = 2
EFFORTS = (16, 32, 48, 64, 96, 128, 192, 256, 512)


def report(name, search, efforts, probes, truth, rerank=None):
    """Prints recall@10 and queries a CPU second for each effort."""
    for effort in efforts:
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            found = search(probes, effort)
            best = min(best, time.process_time() - start)
        if rerank is not None:
            found = rerank(found)
        pairs = zip(found.tolist(), truth.tolist())
        hits = sum(len(set(near[:K]) & set(true)) for near, true in pairs)
        print(f"{name} | {effort} | {hits / truth.size:.4f} | {len(probes) / best:.0f}", flush=True)


def timed(name, build):
    """Runs a build and prints what it took."""
    wall, cpu, before = time.time(), time.process_time(), resident()
    index = build()
    wall, cpu = time.time() - wall, time.process_time() - cpu
    print(f"{name} build: {wall:.1f} s wall, {cpu:.1f} s CPU, {(resident() - before) / 1e6:.0f} MB")
    return index


def resident():
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def hnswlib_(base, probes, truth):
    import hnswlib

    def build():
        index = hnswlib.Index(space="l2", dim=base.shape[1])
        index.init_index(max_elements=len(base), ef_construction=200, M=16)
        index.add_items(base, num_threads=THREADS)
        return index

    index = timed("hnswlib", build)
    index.set_num_threads(1)

    def search(probes, effort):
        index.set_ef(effort)
        return index.knn_query(probes, k=K, num_threads=1)[0]

    report("hnswlib", search, EFFORTS, probes, truth)


def faiss_(kind):
    def run(base, probes, truth):
        import faiss

        faiss.omp_set_num_threads(THREADS)

        def build():
            index = faiss.index_factory(base.shape[1], kind)
            if "HNSW" in kind:
                index.hnsw.efConstruction = 200
            index.train(base[:200_000])
            index.add(base)
            return index

        index = timed(kind, build)
        faiss.omp_set_num_threads(1)

        def search(probes, effort):
            if "HNSW" in kind:
                index.hnsw.efSearch = effort
            else:
                index.nprobe = effort
            return index.search(probes, K)[1]

        report(kind, search, EFFORTS, probes, truth)

    return run


def usearch_(dtype):
    def run(base, probes, truth):
        from usearch.index import Index

        def build():
            index = Index(
                ndim=base.shape[1],
                metric="l2sq",
                dtype=dtype,
                connectivity=16,
                expansion_add=200,
            )
            index.add(np.arange(len(base)), base, threads=THREADS)
            return index

        index = timed(f"usearch {dtype}", build)
        few = K if dtype == "f32" else 40

        def search(probes, effort):
            index.expansion_search = effort
            return index.search(probes, few, threads=1).keys

        def rerank(found):
            order = [
                ids[np.argsort(((base[ids] - probe) ** 2).sum(1), kind="stable")]
                for ids, probe in zip(found.astype(np.int64), probes)
            ]
            return np.stack(order)

        report(f"usearch {dtype}", search, EFFORTS, probes, truth, None if few == K else rerank)

    return run


def svs_(base, probes, truth):
    import svs

    def build():
        parameters = svs.VamanaBuildParameters(
            graph_max_degree=32, window_size=100, alpha=1.2
        )
        data = base.astype(np.float16)
        return svs.Vamana.build(parameters, data, svs.DistanceType.L2, num_threads=THREADS)

    index = timed("svs f16", build)
    index.num_threads = 1
    halves = probes.astype(np.float16)

    def search(probes, effort):
        index.search_window_size = effort
        return index.search(probes, K)[0]

    report("svs f16", search, EFFORTS, halves, truth)


PEERS = {
    "hnswlib": hnswlib_,
    "faiss-hnsw": faiss_("HNSW32"),
    "faiss-ivf-sq8": faiss_("IVF1024,SQ8"),
    "usearch-f32": usearch_("f32"),
    "usearch-i8": usearch_("i8"),
    "svs-f16": svs_,
}


def main():
    where, dim, peers = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    base = np.fromfile(where / "base.f32", np.float32).reshape(-1, dim)
    probes = np.fromfile(where / "probes.f32", np.float32).reshape(-1, dim)
    truth = np.fromfile(where / "truth.u32", np.uint32).reshape(-1, K)
    for peer in peers:
        PEERS[peer](base, probes, truth)


if __name__ == "__main__":
    main()
