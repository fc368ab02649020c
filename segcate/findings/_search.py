"""What a search tried, and how far its candidates lay apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate._writing.label_texts import one_line, shortened
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._evidence import Candidate, SearchFinding
from segcate.findings._source import Source

_LONGEST = 100


def collect_search(source: Source, rows: AnalysedRows) -> SearchFinding | None:
    """Read the candidates of the search; None where there was none, or it keeps no record of them."""
    search = source.search
    results = getattr(search, "cv_results_", None)
    if not results:
        return None
    metric = _refitted_metric(search, results)
    mean = np.asarray(results[f"mean_test_{metric}"], dtype=np.float64)
    spread = np.asarray(results[f"std_test_{metric}"], dtype=np.float64)
    candidates = tuple(
        Candidate(_texts(params), float(m), float(s), int(r))
        for params, m, s, r in zip(
            results["params"], mean, spread, results[f"rank_test_{metric}"], strict=True
        )
    )
    known = mean[np.isfinite(mean)]
    n_splits = sum(
        name.startswith("split") and name.endswith(f"_test_{metric}") for name in results
    )
    honest = source.honest
    return SearchFinding(
        kind=type(search).__name__,
        grid=_grid(search),
        n_candidates=len(candidates),
        n_splits=n_splits,
        scoring=_scoring(search),
        candidates=candidates,
        best_parameters=_texts(getattr(search, "best_params_", {})),
        best_score=float(known.max()) if len(known) else float("nan"),
        lowest_score=float(known.min()) if len(known) else float("nan"),
        std_between=float(known.std(ddof=1)) if len(known) > 1 else float("nan"),
        is_honest=source.is_honest,
        n_design=rows.n_rows if honest is None else len(honest.design_idx),
        n_estimation=rows.n_rows,
    )


def _refitted_metric(search: Any, results: Any) -> str:
    """Return the name of the metric that decided."""
    refit = getattr(search, "refit", True)
    if isinstance(refit, str) and f"mean_test_{refit}" in results:
        return refit
    return "score" if "mean_test_score" in results else next(
        name.removeprefix("mean_test_") for name in results if name.startswith("mean_test_")
    )  # fmt: skip


def _grid(search: Any) -> dict[str, tuple[str, ...]]:
    """Return the values of each parameter, in their order, as text."""
    found: dict[str, list[str]] = {}
    for params in search.cv_results_["params"]:
        for name, value in params.items():
            text = _text(value)
            if text not in found.setdefault(name, []):
                found[name].append(text)
    return {name: tuple(values) for name, values in found.items()}


def _scoring(search: Any) -> str:
    scoring = getattr(search, "scoring", None)
    if scoring is None:
        return "score of the estimator (Qini on effect scores)"
    scoring = getattr(scoring, "_scorer", scoring)  # ours stand around one of scikit-learn
    function = getattr(scoring, "_score_func", scoring)
    return one_line(getattr(function, "__name__", scoring), _LONGEST)


def _texts(params: Any) -> dict[str, str]:
    return {str(name): _text(value) for name, value in params.items()}


def _text(value: Any) -> str:
    return shortened(one_line(" ".join(repr(value).split())), _LONGEST)
