"""Other libraries on the task that `benches/ann` left in a directory.

Usage: peers.py build|sweep PEER DIR DIM CACHE
       peers.py live hnswlib DIR DIM

`build` builds the index with two threads, unless CACHE has it, and leaves it there with what the
build took. `sweep` loads it and prints recall and queries a second as lines of JSON. Truth is the
exact scan's; Faiss Flat is among the peers, so that it is checked by another hand.

Whoever keeps codes of a byte only gets his best 40 re-ranked with the exact vectors, and the time
of that for nothing. Probes are asked in groups through the library's own call for many probes, each
group several times, and the best time of each group counts.
"""

import importlib
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

K = 10
THREADS = 2
GROUP = 125
TIMED = 500
PASSES = 4
# Seconds after which an effort's probes are not asked again.
ENOUGH = 3
# Queries a second below which no further effort is tried.
SLOW = 50
# Beam width of the searches between additions: that of facesearch's live graph.
LIVE_EF = 192
WIDTHS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
PROBED = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)


class Peer:
    """A library. `build` makes and saves an index, `load` reads it, `search` asks it."""

    efforts = WIDTHS
    wanted = K

    def threads(self, count):
        self.count = count


class Hnswlib(Peer):
    def build(self, base, path):
        import hnswlib

        index = hnswlib.Index(space="l2", dim=base.shape[1])
        index.init_index(max_elements=len(base), ef_construction=200, M=16)
        index.add_items(base, num_threads=THREADS)
        yield
        index.save_index(str(path / "index"))

    def load(self, path, n, dim):
        import hnswlib

        self.index = hnswlib.Index(space="l2", dim=dim)
        self.index.load_index(str(path / "index"))

    def search(self, probes, effort):
        self.index.set_ef(effort)
        return self.index.knn_query(probes, k=K, num_threads=self.count)[0]


class Faiss(Peer):
    def __init__(self, kind):
        self.kind = kind
        self.efforts = PROBED if "IVF" in kind else WIDTHS if "HNSW" in kind else (0,)
        self.wanted = 40 if "SQ8" in kind else K

    def build(self, base, path):
        import faiss

        faiss.omp_set_num_threads(THREADS)
        kind = self.kind.replace("LISTS", str(1 << max(8, (len(base).bit_length() + 3) // 2)))
        index = faiss.index_factory(base.shape[1], kind)
        if "HNSW" in kind:
            index.hnsw.efConstruction = 100
        index.train(base[: 200_000])
        index.add(base)
        yield
        faiss.write_index(index, str(path / "index"))

    def load(self, path, n, dim):
        import faiss

        self.index = faiss.read_index(str(path / "index"))

    def threads(self, count):
        import faiss

        faiss.omp_set_num_threads(count)

    def search(self, probes, effort):
        if "HNSW" in self.kind:
            self.index.hnsw.efSearch = effort
        elif "IVF" in self.kind:
            self.index.nprobe = effort
        return self.index.search(probes, self.wanted)[1]


class Usearch(Peer):
    def __init__(self, dtype):
        self.dtype = dtype
        self.wanted = 40 if dtype == "i8" else K

    def build(self, base, path):
        from usearch.index import Index

        dim = base.shape[1]
        index = Index(ndim=dim, metric="l2sq", dtype=self.dtype, connectivity=16)
        index.add(np.arange(len(base)), base, threads=THREADS)
        yield
        index.save(str(path / "index"))

    def load(self, path, n, dim):
        from usearch.index import Index

        self.index = Index.restore(str(path / "index"))

    def search(self, probes, effort):
        self.index.expansion_search = effort
        return self.index.search(probes, self.wanted, threads=self.count).keys.astype(np.int64)


class Scann(Peer):
    efforts = PROBED

    def build(self, base, path):
        import scann

        leaves = int(2 * len(base) ** 0.5)
        builder = scann.scann_ops_pybind.builder(base, K, "squared_l2")
        builder.set_n_training_threads(THREADS)
        trees = builder.tree(leaves, 64, training_sample_size=250_000)
        index = trees.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(200).build()
        yield
        (path / "index").mkdir()
        index.serialize(str(path / "index"))

    def load(self, path, n, dim):
        import scann

        self.index = scann.scann_ops_pybind.load_searcher(str(path / "index"))

    def threads(self, count):
        self.count = count
        if count > 1:
            self.index.set_num_threads(count)

    def search(self, probes, effort):
        ask = self.index.search_batched_parallel if self.count > 1 else self.index.search_batched
        return ask(probes, leaves_to_search=effort, pre_reorder_num_neighbors=100)[0]


class Svs(Peer):
    """Intel SVS. Its own byte codes (LVQ) refuse to run on other makers' CPUs; `sq8` are numbers
    rounded to bytes beforehand, with one step for all."""

    def __init__(self, kind):
        self.kind = kind
        self.wanted = 40 if kind == "sq8" else K

    def convert(self, vectors, path):
        if self.kind != "sq8":
            return vectors.astype({"f32": np.float32, "f16": np.float16}[self.kind])
        if not (path / "codes.npz").exists():
            centre = vectors.mean(0)
            reach = np.quantile(np.abs(vectors[:50_000] - centre), 0.9999)
            np.savez(path / "codes.npz", centre=centre, step=reach / 127)
        codes = np.load(path / "codes.npz")
        rounded = np.rint((vectors - codes["centre"]) / codes["step"])
        return np.clip(rounded, -127, 127).astype(np.int8)

    def build(self, base, path):
        import svs

        parameters = svs.VamanaBuildParameters(graph_max_degree=32, window_size=100, alpha=1.2)
        data = self.convert(base, path)
        index = svs.Vamana.build(parameters, data, svs.DistanceType.L2, num_threads=THREADS)
        yield
        index.save(*(str(path / part) for part in ("config", "graph", "data")))

    def load(self, path, n, dim):
        import svs

        kinds = {"f32": svs.DataType.float32, "f16": svs.DataType.float16, "sq8": svs.DataType.int8}
        kind = kinds[self.kind]
        self.path = path
        self.index = svs.Vamana(
            str(path / "config"),
            svs.GraphLoader(str(path / "graph")),
            svs.VectorDataLoader(str(path / "data"), kind, dim),
            svs.DistanceType.L2,
            query_type=kind,
            num_threads=1,
        )

    def threads(self, count):
        self.index.num_threads = count

    def search(self, probes, effort):
        self.index.search_window_size = max(effort, self.wanted)
        return self.index.search(probes, self.wanted)[0].astype(np.int64)

    def prepare(self, probes):
        return self.convert(probes, self.path)


class Annoy(Peer):
    efforts = (400, 1_000, 2_500, 5_000, 10_000, 20_000, 40_000, 80_000)

    def build(self, base, path):
        from annoy import AnnoyIndex

        index = AnnoyIndex(base.shape[1], "euclidean")
        for i, vector in enumerate(base):
            index.add_item(i, vector)
        index.build(100 if len(base) <= 300_000 else 50, n_jobs=THREADS)
        yield
        index.save(str(path / "index"))

    def load(self, path, n, dim):
        from annoy import AnnoyIndex

        self.index = AnnoyIndex(dim, "euclidean")
        self.index.load(str(path / "index"))

    def search(self, probes, effort):
        from concurrent.futures import ThreadPoolExecutor

        def one(probe):
            found = self.index.get_nns_by_vector(probe, K, search_k=effort)
            return found + [-1] * (K - len(found))

        if self.count == 1:
            return np.array([one(probe) for probe in probes])
        with ThreadPoolExecutor(self.count) as pool:
            return np.array(list(pool.map(one, probes)))


class Nmslib(Peer):
    def new(self):
        import nmslib

        return nmslib.init(method="hnsw", space="l2")

    def build(self, base, path):
        index = self.new()
        index.addDataPointBatch(base)
        index.createIndex({"M": 16, "efConstruction": 200, "indexThreadQty": THREADS, "post": 0})
        yield
        index.saveIndex(str(path / "index"), save_data=True)

    def load(self, path, n, dim):
        self.index = self.new()
        self.index.loadIndex(str(path / "index"), load_data=True)

    def search(self, probes, effort):
        self.index.setQueryTimeParams({"efSearch": effort})
        found = self.index.knnQueryBatch(probes, k=K, num_threads=self.count)
        return np.array([ids for ids, _ in found])


PEERS = {
    "hnswlib": ("hnswlib", Hnswlib),
    "faiss-hnsw32": ("faiss", lambda: Faiss("HNSW32")),
    "faiss-hnsw32-sq8": ("faiss", lambda: Faiss("HNSW32_SQ8")),
    "faiss-ivf-sq8": ("faiss", lambda: Faiss("IVFLISTS,SQ8")),
    "faiss-flat": ("faiss", lambda: Faiss("Flat")),
    "usearch-f32": ("usearch", lambda: Usearch("f32")),
    "usearch-f16": ("usearch", lambda: Usearch("f16")),
    "usearch-i8": ("usearch", lambda: Usearch("i8")),
    "scann": ("scann", Scann),
    "svs-f32": ("svs", lambda: Svs("f32")),
    "svs-f16": ("svs", lambda: Svs("f16")),
    "svs-sq8": ("svs", lambda: Svs("sq8")),
    "annoy": ("annoy", Annoy),
    "nmslib": ("nmslib", Nmslib),
}


def resident():
    """Megabytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def build(name, peer, base, path):
    """Builds, saves, and notes what the build took."""
    # In its place at once, for ScaNN notes where its files are; the note made last says it is
    # whole.
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    base = np.array(base)
    wall, cpu = time.time(), time.process_time()
    steps = peer.build(base, path)
    next(steps)
    took = {"build_wall": round(time.time() - wall, 1)}
    took["build_cpu"] = round(time.process_time() - cpu, 1)
    next(steps, None)
    files = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    (path / "took.json").write_text(json.dumps({"name": name, **took, "file_mb": files / 1e6}))


def hits(found, truth):
    """Share of the nearest, and of the ten nearest, that were found."""
    ones = (found[:, 0] == truth[:, 0]).mean()
    tens = sum(len(set(near[:K]) & set(true)) for near, true in zip(found.tolist(), truth.tolist()))
    return ones, tens / truth.size


def rerank(base, probes, found):
    """Orders each probe's candidates by exact distance."""
    ordered = []
    for ids, probe in zip(found, probes):
        ids = ids[ids >= 0]
        near = ids[np.argsort(((base[ids] - probe) ** 2).sum(1), kind="stable")][:K]
        ordered.append(np.pad(near, (0, K - len(near)), constant_values=-1))
    return np.stack(ordered)


def seconds(peer, groups, effort, passes):
    """Wall and CPU seconds for all groups: the best of some passes, fewer if they are slow."""
    wall = cpu = 0
    for group in groups:
        times = []
        while len(times) < passes and sum(time[0] for time in times) < ENOUGH / len(groups):
            start = time.perf_counter(), time.process_time()
            peer.search(group, effort)
            times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        wall += min(time[0] for time in times)
        cpu += min(time[1] for time in times)
    return wall, cpu


def sweep(name, peer, base, probes, truth, path):
    print(Path(path / "took.json").read_text(), flush=True)
    before, start = resident(), time.perf_counter()
    peer.load(path, *base.shape)
    opened = time.perf_counter() - start
    prepared = peer.prepare(probes) if hasattr(peer, "prepare") else probes
    peer.threads(1)
    for group in range(0, len(probes), GROUP):
        peer.search(prepared[group : group + GROUP], peer.efforts[len(peer.efforts) // 2])
    memory = {"open_ms": round(opened * 1e3, 1), "memory_mb": round(resident() - before)}
    print(json.dumps({"name": name, **memory}), flush=True)
    timed = prepared[:TIMED]
    for effort in peer.efforts:
        peer.threads(2)
        found = np.asarray(peer.search(prepared, effort)).astype(np.int64)
        peer.threads(1)
        if peer.wanted > K:
            found = rerank(base, probes, found)
        ones, tens = hits(found, truth)
        passes = 1 if name == "faiss-flat" else PASSES
        one = seconds(peer, np.split(timed, range(GROUP, len(timed), GROUP)), effort, passes)
        peer.threads(2)
        two = seconds(
            peer, np.split(timed, range(2 * GROUP, len(timed), 2 * GROUP)), effort, passes
        )
        line = {
            "name": name,
            "effort": effort,
            "recall1": round(ones, 5),
            "recall10": round(tens, 5),
        }
        speeds = {"qps1": one[0], "qps1_cpu": one[1], "qps2": two[0]}
        line |= {key: round(len(timed) / took) for key, took in speeds.items()}
        print(json.dumps(line), flush=True)
        if (ones >= 0.9993 and tens >= 0.9993) or len(timed) / one[0] < SLOW:
            break


def live(where, dim):
    """Adds the vectors that the benchmark left to hnswlib singly, with a search after each."""
    import hnswlib

    read = lambda name, kind: np.fromfile(where / name, kind)
    base = read("live.f32", np.float32).reshape(-1, dim)
    probes = read("live-probes.f32", np.float32).reshape(-1, dim)
    truth = read("live-truth.u32", np.uint32).reshape(len(probes), -1)
    index = hnswlib.Index(space="l2", dim=dim)
    index.init_index(max_elements=len(base), ef_construction=200, M=16)
    index.set_num_threads(1)
    index.set_ef(LIVE_EF)
    adds, searches = [], []
    for i, vector in enumerate(base):
        start = time.perf_counter()
        index.add_items(vector, i)
        middle = time.perf_counter()
        index.knn_query(probes[i % len(probes)], k=min(K, i + 1))
        adds.append(middle - start)
        searches.append(time.perf_counter() - middle)
    found = index.knn_query(probes, k=truth.shape[1])[0]
    at = lambda times, share: 1e3 * np.quantile(times, share)
    print(
        f"hnswlib, one thread, M 16, ef_construction 200, ef {LIVE_EF}: "
        f"{len(adds) / sum(adds):.0f} "
        f"inserts a second, median {at(adds, 0.5):.3f} ms, p99 {at(adds, 0.99):.3f} ms, longest "
        f"{at(adds, 1):.1f} ms; searches between, median {at(searches, 0.5):.3f} ms, p99 "
        f"{at(searches, 0.99):.3f} ms; recall@10 at the end {hits(found, truth)[1]:.4f}"
    )


def main():
    if sys.argv[1] == "live":
        return live(Path(sys.argv[3]), int(sys.argv[4]))
    command, name, where, dim, cache = sys.argv[1:]
    package, make = PEERS[name]
    try:
        importlib.import_module(package)
    except ImportError as error:
        sys.exit(f"{name} is left out: {error}")
    where, path = Path(where), Path(cache) / name
    vectors = next(where.glob("index/published/*/vectors"))
    n = int.from_bytes(open(vectors, "rb").read(24)[16:], "little")
    base = np.memmap(vectors, np.float32, "r", 64, (n, int(dim)))
    if command == "build":
        if not (path / "took.json").exists():
            build(name, make(), base, path)
        return
    probes = np.fromfile(where / "probes.f32", np.float32).reshape(-1, int(dim))
    truth = np.fromfile(where / "truth.u32", np.uint32).reshape(-1, K)
    sweep(name, make(), base, probes, truth, path)


if __name__ == "__main__":
    main()
