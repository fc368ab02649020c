"""Log an analysis to MLflow: the model with the types it needs, figures of its effects, tables, card."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from segcate import SKOPS_TRUSTED_TYPES, __version__
from segcate._inputs.listing import listed
from segcate._publishing import publish
from segcate._writing.label_texts import csv_table, shortened
from segcate.cards import effect_card
from segcate.cards._effect_card import findings_of
from segcate.findings import Findings
from segcate.persistence._storable import storable

__all__ = ["Logged", "log"]

_FOLDER = "segcate"
_TABLES = ("effects", "contrasts", "balance", "overlap", "profile", "covariates")
# What MLflow takes in one call, and the longest value that every store takes.
_MOST_PARAMETERS, _LONGEST_PARAMETER = 100, 500
# What a stored model needs to predict; MLflow would load it in a process of its own to find out.
_REQUIRED = ("scikit-learn", "numpy", "scipy", "pandas", "hdbscan", "numba", "narwhals", "skops")


@dataclass(frozen=True, slots=True)
class Logged:
    """Where an analysis was logged.

    Attributes
    ----------
    run_id : str
    model_uri : str or None
        For ``mlflow.sklearn.load_model`` and ``mlflow.pyfunc.load_model``; None without a model.
    metrics : dict of str to float, as they were logged
    """

    run_id: str
    model_uri: str | None
    metrics: Mapping[str, float]


def log(
    source: Any,
    X: Any = None,
    y: Any = None,
    *,
    treatment: Any = None,
    estimator: Any = None,
    name: str = "model",
    trusted: tuple[str, ...] = (),
    figures: bool | None = None,
    **how: Any,
) -> Logged:
    """Log the model, its effects and its card to the active run of MLflow, or to one of its own.

    Metrics are of the effects: `overall_effect`, `overall_std_error`, `overall_ci_low`,
    `overall_ci_high`, `heterogeneity_q`, `heterogeneity_p_value`, `n_segments`,
    `n_segments_estimated`, `n`, `n_treated`, `largest_smd_before`, `largest_smd_after`, and of a search
    `best_score`, of held-out rows `qini`. Parameters are those of the estimator and all its parts. Tables
    (CSV), findings (JSON), the card and its pictures are artifacts below "segcate".

    Parameters
    ----------
    source : Findings, or a fitted pipeline, effect estimator or search
        Of an estimator, `X`, `y` and `treatment` are those of its fit.
    X, y, treatment : the rows of the fit
        With findings they are left out.
    estimator : fitted estimator, default=None
        With findings: the model to log; None: no model is logged.
    name : str, default="model"
        Of the model.
    trusted : tuple of str, default=()
        Types of your own steps that MLflow may load, beside `segcate.SKOPS_TRUSTED_TYPES`.
    figures : bool, default=None
        Whether to draw pictures. None: where matplotlib is installed.
    **how : further arguments of `segcate.findings.collect_findings`

    Returns
    -------
    Logged

    Raises
    ------
    ImportError
        If MLflow 3.9 or later, or skops, is not installed.
    TypeError
        If the model holds types that are not trusted, or arguments do not go together.
    """
    mlflow = _mlflow()
    findings, model = findings_of(
        "log", source, X, y, treatment=treatment, estimator=estimator, **how
    )
    types = None if model is None else _types_of(model, trusted)
    metrics = _metrics(findings)
    with tempfile.TemporaryDirectory() as place, _run(mlflow) as run:
        folder = Path(place) / _FOLDER
        _write_files(findings, model, figures, folder)
        _log_parameters(mlflow, findings.parameters)
        mlflow.set_tags(_tags(findings))
        mlflow.log_metrics(metrics)
        mlflow.log_artifacts(str(folder), artifact_path=_FOLDER)
        uri = None
        if types is not None:
            uri = mlflow.sklearn.log_model(
                storable(model),
                name=name,
                serialization_format="skops",
                skops_trusted_types=types,
                pip_requirements=_requirements(),
            ).model_uri
        return Logged(run.info.run_id, uri, metrics)


def _mlflow() -> Any:
    try:
        import mlflow
        import mlflow.sklearn
        import skops.io  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"segcate.mlflow.log needs MLflow and skops, and {error.name or error} is not installed here: "
            "`pip install segcate[mlflow]`."
        ) from error
    if not hasattr(mlflow.sklearn, "SERIALIZATION_FORMAT_SKOPS"):
        raise ImportError(
            f"segcate.mlflow.log needs MLflow 3.9 or later, which stores models without pickle; found "
            f"{mlflow.__version__}. `pip install -U segcate[mlflow]`."
        )
    return mlflow


@contextmanager
def _run(mlflow: Any) -> Iterator[Any]:
    """Give the active run, or a new one that ends with the block."""
    active = mlflow.active_run()
    if active is not None:
        yield active
        return
    with mlflow.start_run() as run:
        yield run


def _types_of(model: Any, trusted: tuple[str, ...]) -> list[str]:
    """Return the types that a stored model needs to be trusted for."""
    import skops.io

    needed = skops.io.get_untrusted_types(data=skops.io.dumps(storable(model)))
    foreign = sorted(set(needed) - {*SKOPS_TRUSTED_TYPES, *trusted})
    if foreign:
        raise TypeError(
            f"log: the model holds types that are not trusted: {listed(foreign, 10)}. If they are yours, pass "
            f"`trusted={tuple(foreign[:3])}`; whoever loads the model then runs them."
        )
    return sorted(needed)


def _metrics(findings: Findings) -> dict[str, float]:
    """Return the numbers of the effects; those that are not finite are left out."""
    overall, between, population = (
        findings.overall,
        findings.heterogeneity,
        findings.population,
    )
    found = {
        "overall_effect": overall.effect,
        "overall_std_error": overall.std_error,
        "overall_ci_low": overall.ci_low,
        "overall_ci_high": overall.ci_high,
        "heterogeneity_q": between.q,
        "heterogeneity_p_value": between.p_value,
        "n_segments": len(findings.segments),
        "n_segments_estimated": sum(segment.is_estimated for segment in findings.segments),
        "n": population.n,
        "n_treated": population.n_treated,
        "largest_smd_before": _largest([row.smd_before for row in findings.balance_rows or ()]),
        "largest_smd_after": _largest([row.smd_after for row in findings.balance_rows or ()]),
    }
    if findings.search is not None:
        found["best_score"] = findings.search.best_score
    if findings.targeting is not None:
        found["qini"] = findings.targeting.qini
        found["qini_std_error"] = findings.targeting.qini_std_error
    return {key: float(value) for key, value in found.items() if math.isfinite(value)}


def _largest(values: list[float]) -> float:
    """Return the largest size of finite values; NaN where there is none."""
    return max((abs(value) for value in values if math.isfinite(value)), default=math.nan)


def _tags(findings: Findings) -> dict[str, str]:
    return {
        "segcate.version": __version__,
        "segcate.estimand": findings.estimand,
        "segcate.question": shortened(findings.question, _LONGEST_PARAMETER),
        "segcate.data_hash": findings.data_hash,
        "segcate.doubts": ", ".join(dict.fromkeys(doubt.kind for doubt in findings.doubts)),
    }


def _log_parameters(mlflow: Any, parameters: Mapping[str, str]) -> None:
    """Log parameters in parts that every store takes."""
    entries = [(key, shortened(value, _LONGEST_PARAMETER)) for key, value in parameters.items()]
    for start in range(0, len(entries), _MOST_PARAMETERS):
        mlflow.log_params(dict(entries[start : start + _MOST_PARAMETERS]))


def _write_files(findings: Findings, model: Any, figures: bool | None, folder: Path) -> None:
    effect_card(findings, estimator=model, figures=figures).save(folder)
    for table in _TABLES:
        frame = getattr(findings, f"{table}_table")
        if len(frame):
            csv_table(frame).to_csv(folder / f"{table}.csv", errors="backslashreplace")
    told = json.dumps(findings.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    (folder / "findings.json").write_text(told, encoding="utf-8")


def _requirements() -> list[str]:
    """Return what to install beside a stored model, at the versions in use."""
    found = [f"segcate=={__version__}"]
    for package in _REQUIRED:
        try:
            found.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return found


publish(globals())
