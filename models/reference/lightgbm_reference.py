"""Writes what LightGBM itself predicts, for the tests of facesearch-eval.

    python models/reference/lightgbm_reference.py boosted_lightface_7.txt \
        crates/facesearch-eval/tests/golden

The first argument is the booster that deepface's repository publishes. A second, small booster is
trained here on made-up numbers, so that missing values, zeros and categories all occur.
"""

import json
import sys

import lightgbm
import numpy as np

random = np.random.default_rng(7)
published = lightgbm.Booster(model_file=sys.argv[1])
distances = random.uniform(0, 1.8, (40, 5))
decided = random.integers(0, 2, (40, 5))
rows = np.column_stack([
    distances, decided, decided.sum(1), 2.0 ** decided.sum(1), distances.sum(1), distances.prod(1),
])
rows[3, 2], rows[4, 12], rows[5, 7], rows[6, 5], rows[7, 6] = np.nan, np.nan, np.nan, -3, 1e12


def listed(values):
    return [[None if np.isnan(v) else v for v in row] for row in values.tolist()]


def write(name, booster, values):
    with open(f"{sys.argv[2]}/{name}.json", "w") as out:
        json.dump({"rows": listed(values), "raw": booster.predict(values, raw_score=True).tolist(),
                   "predicted": booster.predict(values).tolist()}, out)
        out.write("\n")


write("booster_published", published, rows)

n = 600
values = np.column_stack([
    random.normal(size=n), random.normal(size=n), random.integers(0, 70, n).astype(float),
    random.uniform(size=n),
])
values[random.random(n) < 0.2, 0] = np.nan
values[random.random(n) < 0.3, 3] = 0.0
truth = (np.nan_to_num(values[:, 0], nan=1.5) + values[:, 1] * values[:, 3]
         + np.isin(values[:, 2] % 7, [1, 4]) > 0.4)
for zero_as_missing in (False, True):
    name = "zero" if zero_as_missing else "nan"
    data = lightgbm.Dataset(values, truth, categorical_feature=[2], free_raw_data=False,
                            params={"zero_as_missing": zero_as_missing, "verbosity": -1})
    booster = lightgbm.train({"objective": "binary", "num_leaves": 9, "learning_rate": 0.3,
                              "sigmoid": 1.5, "min_data_per_group": 5, "cat_smooth": 1,
                              "seed": 1, "deterministic": True, "verbosity": -1}, data, 6)
    booster.save_model(f"{sys.argv[2]}/booster_{name}.txt")
    asked = values[:60].copy()
    asked[0, 2], asked[1, 2], asked[2, 2], asked[3, 2] = -1, -0.5, 1e6, np.nan
    asked[4, 0], asked[5, 0], asked[6, 3], asked[7, 1] = 0, 1e-40, np.nan, np.nan
    write(f"booster_{name}", booster, asked)
