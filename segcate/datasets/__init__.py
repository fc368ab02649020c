"""Users with known treatment effects, and loaders of real studies."""

from segcate._publishing import publish
from segcate.datasets._causaldata import load_nhefs, load_nsw
from segcate.datasets._hillstrom import fetch_hillstrom
from segcate.datasets._mindset import fetch_learning_mindset
from segcate.datasets._segmented_users import make_segmented_users
from segcate.datasets._uplift import make_uplift

__all__ = [
    "fetch_hillstrom",
    "fetch_learning_mindset",
    "load_nhefs",
    "load_nsw",
    "make_segmented_users",
    "make_uplift",
]

publish(globals())
