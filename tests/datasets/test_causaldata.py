"""Real studies load whole, and their printed figures come back."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest

from segcate.datasets import load_nhefs, load_nsw


def test_nhefs_is_the_complete_case_table_of_the_book():
    """Hernan and Robins (2020), section 12.1: 1,566 smokers, 403 quitters, difference 2.5 kg."""
    data = load_nhefs()
    assert data.X.shape == (1566, 9)
    assert data.n_incomplete == 63
    assert data.treatment.sum() == 403
    means = data.y.groupby(data.treatment).mean()
    assert round(means[1], 1) == 4.5
    assert round(means[0], 1) == 2.0
    assert data.X["age"][data.treatment == 1].mean() == pytest.approx(46.2, abs=0.05)
    assert data.X["wt71"][data.treatment == 0].mean() == pytest.approx(70.3, abs=0.05)


def test_nhefs_codes_have_words():
    data = load_nhefs()
    assert not data.X.isna().to_numpy().any()
    for name in ("sex", "race", "education", "active", "exercise"):
        assert isinstance(data.X[name].dtype, pd.CategoricalDtype)
    # section 12.1 of the book: 54.6 % of the quitters are men, 91.1 % white, 15.4 % college or more
    quitters = data.X[data.treatment == 1]
    assert (quitters["sex"] == "male").mean() == pytest.approx(0.546, abs=5e-4)
    assert (quitters["race"] == "white").mean() == pytest.approx(0.911, abs=5e-4)
    assert (quitters["education"] == "college or more").mean() == pytest.approx(0.154, abs=5e-4)


def test_nhefs_index_counts_rows_and_agrees():
    data = load_nhefs()
    assert data.X.index.equals(pd.RangeIndex(1566))
    assert data.y.index.equals(data.X.index)
    assert data.treatment.index.equals(data.X.index)


def test_nsw_has_the_printed_differences():
    """Dehejia and Wahba (1999): 1,794 dollars in the experiment, -8,498 against the CPS."""
    for control, n_control, difference in (("experiment", 260, 1794.34), ("cps", 15_992, -8497.52)):
        data = load_nsw(control=control)
        assert data.treatment.value_counts().to_dict() == {0: n_control, 1: 185}
        means = data.y.groupby(data.treatment).mean()
        assert means[1] - means[0] == pytest.approx(difference, abs=5e-3)
        assert data.X.shape == (185 + n_control, 8)
        assert np.isfinite(data.X.to_numpy()).all()
        assert data.X.index.is_unique


def test_nsw_control_is_checked():
    with pytest.raises(ValueError, match=r"load_nsw: `control` must be one of .* got 'psid'"):
        load_nsw(control="psid")


@pytest.mark.parametrize("loader", [load_nhefs, load_nsw])
def test_missing_package_names_the_extra(loader, monkeypatch):
    real = importlib.import_module

    def without(name, *args, **kwargs):
        if name.startswith("causaldata"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=r"pip install segcate\[demo\]"):
        loader()
