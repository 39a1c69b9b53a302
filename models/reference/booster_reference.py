"""LightGBM's side of facesearch-eval's parity test, which runs it.

    python models/reference/booster_reference.py make DIR
    python models/reference/booster_reference.py predict MODEL.txt ROWS.json

`make` trains boosters on made-up numbers of odd shapes, in every way that the text format tells
apart, and writes each (NAME.txt) with rows and LightGBM's predictions (NAME.json); those that must
be refused go to DIR/refused. `predict` prints what LightGBM says of a booster trained elsewhere.
"""

import json
import os
import sys
import warnings

import lightgbm
import numpy as np

warnings.filterwarnings("ignore")


def rows_in(file):
    with open(file) as text:
        return np.array([[np.nan if v is None else v for v in row] for row in json.load(text)])


def predicted(booster, rows):
    return {"raw": booster.predict(rows, raw_score=True).tolist(),
            "predicted": booster.predict(rows).tolist()}


if sys.argv[1] == "predict":
    booster = lightgbm.Booster(model_file=sys.argv[2])
    rows = rows_in(sys.argv[3])
    json.dump({"features": booster.feature_name(), "trees": booster.num_trees(),
               **predicted(booster, rows)}, sys.stdout)
    sys.exit()

out = sys.argv[2]
os.makedirs(f"{out}/refused")
random = np.random.default_rng(11)
COMMON = {
    "verbosity": -1,
    "seed": 3,
    "deterministic": True,
    "num_threads": 1,
    "min_data_in_leaf": 3,
}


def numbers(n, features):
    """Columns of many scales, some whole, one constant, with gaps and zeros."""
    scales = 10.0 ** random.integers(-6, 7, features)
    values = random.normal(size=(n, features)) * scales
    values[:, ::3] = np.round(values[:, ::3] / scales[::3])
    if features > 4:
        values[:, 4] = 7.5
    values[random.random((n, features)) < 0.15] = np.nan
    values[random.random((n, features)) < 0.15] = 0.0
    return values


def asked(values):
    """Rows like those learnt from, then ones that nobody has seen."""
    rows = values[:80].copy()
    odd = [np.nan, 0.0, -0.0, 1e-36, -1e-36, 2e-35, np.inf, -np.inf, 1e300, -1e300, 5e-324]
    strange = np.array([[random.choice(odd) for _ in range(values.shape[1])] for _ in range(40)])
    return np.vstack([rows, strange])


def listed(rows):
    # JSON has no infinities; the largest numbers there are lie on the same side of every question.
    rows = np.clip(rows, -sys.float_info.max, sys.float_info.max)
    return rows, [[None if np.isnan(v) else v for v in row] for row in rows.tolist()]


def make(name, n=400, features=5, rounds=12, categorical=(), refused=False, group=None, **params):
    values = numbers(n, features)
    for column in categorical:
        values[:, column] = random.integers(0, 90, n)
    scaled = np.nan_to_num(values / (np.nanstd(values, axis=0) + 1e-12))
    score = scaled.sum(1) + random.normal(size=n)
    objective = params.get("objective", "binary")
    if objective in ("binary", "cross_entropy"):
        truth = (score > np.median(score)).astype(float)
    elif objective.startswith("multiclass"):
        truth = random.integers(0, 3, n).astype(float)
    elif objective in ("lambdarank", "rank_xendcg"):
        truth = np.digitize(score, np.quantile(score, [0.3, 0.6, 0.9])).astype(float)
    elif objective in ("poisson", "gamma", "tweedie"):
        truth = np.abs(score) + 0.1
    else:
        truth = score
    truth = params.pop("truth", truth)
    settings = {**COMMON, "objective": "binary", **params}
    keep = {k: settings[k] for k in ("zero_as_missing", "use_missing", "max_bin", "linear_tree")
            if k in settings}
    data = lightgbm.Dataset(values, truth, group=group, categorical_feature=list(categorical),
                            free_raw_data=False, params={**COMMON, **keep})
    booster = lightgbm.train(settings, data, rounds)
    place = f"{out}/refused" if refused else out
    booster.save_model(f"{place}/{name}.txt")
    if not refused:
        rows, as_json = listed(asked(values))
        with open(f"{place}/{name}.json", "w") as text:
            json.dump({"rows": as_json, **predicted(booster, rows)}, text)


for missing, how in {
    "nan": {},
    "zero": {"zero_as_missing": True},
    "none": {"use_missing": False},
}.items():
    for n, features, leaves in [
        (30, 1, 2),
        (57, 3, 31),
        (400, 5, 7),
        (1500, 37, 63),
        (3000, 2, 255),
    ]:
        make(f"{missing}-{n}x{features}", n, features, num_leaves=leaves, **how)
    make(f"{missing}-categories", categorical=(1, 3), cat_smooth=1, min_data_per_group=5, **how)
    make(f"{missing}-forest", boosting="rf", bagging_freq=1, bagging_fraction=0.6, **how)
    make(f"{missing}-dart", boosting="dart", drop_rate=0.5, rounds=30, **how)
make("sigmoid", sigmoid=0.7)
make("goss", data_sample_strategy="goss", learning_rate=0.5)
make("few-bins", max_bin=3)
make(
    "monotone",
    features=4,
    monotone_constraints=[1, -1, 0, -1],
    monotone_constraints_method="advanced",
)
make("extra-trees", extra_trees=True, feature_fraction=0.5, path_smooth=2.0)
make("stumps", max_depth=1, rounds=200, learning_rate=0.05)
make("one-leaf", min_gain_to_split=1e9)
make("one-truth", objective="regression", truth=np.full(400, 2.5))
make("unbalanced", is_unbalance=True)
for objective in [
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "quantile",
    "mape",
    "cross_entropy",
]:
    make(objective, objective=objective)
for objective in ["lambdarank", "rank_xendcg"]:
    make(objective, objective=objective, group=[40] * 10)

make("three-classes", refused=True, objective="multiclass", num_class=3)
make("three-classes-apart", refused=True, objective="multiclassova", num_class=3)
make("linear", refused=True, objective="regression", linear_tree=True)
make("square-root", refused=True, objective="regression", reg_sqrt=True)
for objective in ["poisson", "gamma", "tweedie", "cross_entropy_lambda"]:
    make(objective, refused=True, objective=objective,
         **({"truth": random.random(400)} if objective == "cross_entropy_lambda" else {}))
