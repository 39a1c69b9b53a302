"""Writes what scikit-learn and scipy say of made-up distances, for the tests of facesearch-people
and facesearch-eval.

    python models/reference/sklearn_reference.py crates/facesearch-people/tests/golden/pairs.json

Distances are rounded, so that ties occur, and some pairs have none. scikit-learn takes scores that
are finite, so a missing distance is given to it as 1000, beyond every other.
"""

import json
import sys

import numpy as np
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.calibration import _sigmoid_calibration, calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from sklearn.model_selection import PredefinedSplit
from sklearn.tree import DecisionTreeClassifier

MISSING = 1000.0


def best_threshold(distance, same):
    """Highest accuracy over all midpoints, the lowest one first; a one-line definition."""
    steps = np.unique(distance[distance < MISSING])
    middles = np.concatenate([[steps[0] / 2], (steps[1:] + steps[:-1]) / 2, [steps[-1]]])
    scores = [accuracy_score(same, distance <= t) for t in middles]
    return float(middles[int(np.argmax(scores))]), max(scores)


def case(seed, pairs, missing, overlap, decimals):
    random = np.random.default_rng(seed)
    same = random.permutation(np.arange(pairs) % 2 == 0)
    distance = np.where(
        same, random.normal(0.8, overlap, pairs), random.normal(1.3, overlap, pairs)
    )
    distance = np.round(np.abs(distance), decimals)
    distance[random.choice(pairs, missing, replace=False)] = MISSING
    fold = random.integers(0, 10, pairs)
    fpr, tpr, thresholds = roc_curve(same, -distance, drop_intermediate=False)
    decided = distance <= 0.95
    accuracies = []
    for train, test in PredefinedSplit(fold).split():
        threshold, _ = best_threshold(distance[train], same[train])
        accuracies.append(accuracy_score(same[test], distance[test] <= threshold))
    stump = DecisionTreeClassifier(max_depth=1, criterion="entropy").fit(distance[:, None], same)
    there = distance < MISSING
    asked = np.linspace(0, 2, 81)
    isotonic = IsotonicRegression(increasing=False, out_of_bounds="clip")
    isotonic.fit(distance[there], same[there])
    slope, offset = _sigmoid_calibration(distance[there], same[there])
    said = 1 / (1 + np.exp(slope * distance[there] + offset))
    observed, predicted = calibration_curve(same[there], said, n_bins=10)
    tn, fp, fn, tp = confusion_matrix(same, decided).ravel()
    return {
        "distance": [None if d == MISSING else d for d in distance],
        "same": same.tolist(),
        "fold": fold.tolist(),
        "roc": [[f, t, None if not np.isfinite(s) or s == -MISSING else -s]
                for f, t, s in zip(fpr, tpr, thresholds)],
        "auc": roc_auc_score(same, -distance),
        "eer": brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0, 1, xtol=1e-14),
        "tar": [float(tpr[fpr <= far].max()) for far in (1e-2, 1e-3, 1e-4)],
        "at": 0.95,
        "counts": [int(n) for n in (tp, fp, fn, tn)],
        "accuracy": accuracy_score(same, decided),
        "precision": precision_score(same, decided),
        "recall": recall_score(same, decided),
        "f1": f1_score(same, decided),
        "best": best_threshold(distance, same),
        "fold_accuracies": accuracies,
        "fold_mean": float(np.mean(accuracies)),
        "fold_error": float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))),
        "stump": float(stump.tree_.threshold[0]),
        "isotonic": list(zip(asked.tolist(), isotonic.predict(asked).tolist())),
        "logistic": [float(slope), float(offset)],
        "said": said.tolist(),
        "reliability": list(zip(predicted.tolist(), observed.tolist())),
        "brier": float(brier_score_loss(same[there], said)),
    }


cases = [case(1, 300, 0, 0.25, 2), case(2, 200, 9, 0.15, 6), case(3, 120, 0, 0.02, 3)]
with open(sys.argv[1], "w") as out:
    json.dump(cases, out)
    out.write("\n")
