"""Makes the files beside it with NumPy, pandas, PyArrow and pickle, as other programs make theirs.

    pip install numpy pandas pyarrow && python make.py
"""
import pickle
import numpy as np, pandas as pd, pyarrow as pa, pyarrow.parquet as pq

n, d = 9, 5
v = (((np.arange(n * d) * 37 % 101) - 50) / 64).reshape(n, d)  # exact in float16 too
names = [f"photo {i}.jpg" for i in range(n)]
who = ["Zoë" if i % 2 else "Bob" for i in range(n)]

np.save("f2.npy", v.astype("<f2"))
np.save("f4.npy", v.astype("<f4"))
np.save("f8_big_endian.npy", v.astype(">f8"))
np.save("names.npy", np.array(names))
np.save("columns_first.npy", np.asfortranarray(v.astype("<f4")))
np.savez("plain.npz", embeddings=v.astype("<f4"), names=np.array(names), identities=np.array(who))
np.savez_compressed("packed.npz", embeddings=v, ids=np.arange(n) + 100, identities=np.array(who))
pq.write_table(pa.table({
    "photo": names, "identity": who,
    "embedding": pa.array([list(r) for r in v.astype("<f4")], pa.list_(pa.float32())),
}), "list.parquet", row_group_size=4)
pd.DataFrame(v, columns=[str(i) for i in range(d)]).assign(identity=who).to_parquet("wide.parquet")
pd.DataFrame(v.astype("<f4")).assign(identity=who, name=names).to_csv("frame.csv", index=False)
with open("vectors.fvecs", "wb") as f:
    for row in v.astype("<f4"):
        f.write(np.int32(d).tobytes() + row.tobytes())
faces = [{"identity": f"db/{w}/{p}", "hash": "0" * 40, "embedding": [float(x) for x in r],
          "target_x": 1, "target_y": 2, "target_w": 300, "target_h": 70000}
         for r, p, w in zip(v, names, who)]
faces.append({"identity": "db/none.jpg", "hash": "1", "embedding": None, "target_x": 0,
              "target_y": 0, "target_w": 0, "target_h": 0})
pickle.dump(faces, open("deepface.pkl", "wb"), protocol=4)
pickle.dump(
    [[f["identity"], f["embedding"]] for f in faces[:-1]],
    open("deepface_old.pkl", "wb"),
    protocol=2,
)


class Evil:
    def __reduce__(self):
        return (open, ("executed", "w"))


pickle.dump([Evil()], open("evil.pkl", "wb"))
