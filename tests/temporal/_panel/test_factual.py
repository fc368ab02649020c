"""Origins spread over units, and what was given from there."""

from __future__ import annotations

import numpy as np

from segcate.temporal._panel.factual import factual_plans
from segcate.temporal._panel.panel import Roles, read_panel
from tests.helpers.small_panels import small_panel

ROLES = Roles(("a0", "a1"), ("y",), (), (), "id", "t")


def test_factual_plans_are_what_was_given():
    panel = read_panel("test", small_panel(), ROLES)
    origins, plans, is_there = factual_plans(panel, 3)
    assert (origins[:, 0] == 0).all()
    np.testing.assert_array_equal(origins[:, -1], panel.n_steps - 2)
    for i, j, k in np.argwhere(is_there):
        given = panel.treatment[i, origins[i, j] + k]
        np.testing.assert_array_equal(plans[i, j, k], given)
    last = origins[..., None] + np.arange(3) + 1
    np.testing.assert_array_equal(is_there, last < panel.n_steps[:, None, None])
    assert not plans[~is_there].any()
