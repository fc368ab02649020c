"""Loops over rows as machine code, compiled when they are first called, and kept on the disk."""

from segcate._kernels.decorator import are_few, kernel

__all__ = ["are_few", "kernel"]
