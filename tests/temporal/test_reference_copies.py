"""The copies of reference figures are what the originals are."""

import pytest

from tests.helpers.shared import shared_path
from tests.helpers.temporal_reference import COPIES


@pytest.mark.parametrize(
    "name", sorted(path.name for path in COPIES.iterdir() if path.suffix in (".npz", ".json"))
)
def test_copies_equal_the_originals(name):
    original = shared_path("reference", "temporal", name)
    assert COPIES.joinpath(name).read_bytes() == original.read_bytes()
