"""Fits of data that outgrow memory, equal to those in memory."""

from segcate._publishing import publish
from segcate.scale._fit import fit

__all__ = ["fit"]

publish(globals())
