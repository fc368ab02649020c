"""A table becomes a study: which column plays which part, and what is wrong with them."""

from segcate.cli._study.roles import Roles
from segcate.cli._study.study import Study, make_study

__all__ = ["Roles", "Study", "make_study"]
