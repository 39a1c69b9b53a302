"""Writes scikit-learn's logistic regression on made-up distances, for the tests of facesearch-eval.

    python models/reference/blend_reference.py crates/facesearch-eval/tests/golden/blend.json
"""

import json
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(3)
same = random.integers(0, 2, 80).astype(bool)
rows = np.round(np.column_stack([
    np.where(same, 0.8, 1.3) + random.normal(0, spread, 80) for spread in (0.1, 0.2, 0.3)
]), 4)
cases = []
for ridge in (0.01, 1.0):
    model = LogisticRegression(C=1 / ridge, tol=1e-12, max_iter=10_000).fit(rows, same)
    cases.append({"ridge": ridge, "weights": model.coef_[0].tolist(),
                  "offset": float(model.intercept_[0]),
                  "predicted": model.predict_proba(rows)[:, 1].tolist()})
with open(sys.argv[1], "w") as out:
    json.dump({"rows": rows.tolist(), "same": same.tolist(), "cases": cases}, out)
    out.write("\n")
