"""Compile loops over rows on their first call, so that who needs none pays for none.

numba takes as long to import as all else together, and each kernel a second or so to compile on a new
machine. Kernels of matching on a score (`order="closest"` aside, which keeps a heap) and those of curves
therefore follow rules, which a test holds:

1. A kernel is a leaf: it calls no other kernel. Constants it reads stand in its own file, since numba
   compares that file alone with what it stored.
2. It allocates nothing and slices nothing: arrays come in ready, results are written into arrays that
   came in.
3. It has one specialisation: its callers always pass the same types.
4. Below 20,000 rows numpy does the same, equal to the last bit where it counts or sorts, and to
   rounding where it adds up: ask `are_few`. In matching without replacement rows choose one after the
   other: the interpreter takes few of them (10 ms for 2,000) sooner than the compiler is loaded
   (400 ms): ask `Kernel.for_rows`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any

# Fewer rows than this are left to numpy.
FEW_ROWS = 20_000
_compiling = threading.RLock()


def are_few(n_rows: int) -> bool:
    """Tell whether so few rows are better left to numpy than to a kernel."""
    return n_rows < FEW_ROWS


def kernel(function: Callable[..., Any]) -> Any:
    """Make a function that is compiled on its first call, and runs without the interpreter's lock."""
    return Kernel(function)


class Kernel:
    """A function of arrays that is compiled on its first call.

    Attributes
    ----------
    py_func : the function as it was written
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func: Any = function
        self._compiled: Any = None
        self._n_interpreted = 0

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function."""
        compiled = self._compiled
        return (self.compiled if compiled is None else compiled)(*arguments)

    def for_rows(self, n_rows: int) -> Callable[..., Any]:
        """Return the function as it was written, until it has seen 20,000 rows in all; then compiled."""
        self._n_interpreted += n_rows
        return self if self.is_compiled or not are_few(self._n_interpreted) else self.py_func

    @property
    def is_compiled(self) -> bool:
        """Tell whether the function was called before."""
        return self._compiled is not None

    @property
    def compiled(self) -> Any:
        """The compiled function; kernels that it calls are compiled with it."""
        with _compiling:
            if self._compiled is None:
                from segcate._kernels.stored_code import compile_and_keep

                self._compiled = compile_and_keep(self._with_compiled_kernels())
            return self._compiled

    def _with_compiled_kernels(self) -> Any:
        """Return the function with kernels among its globals as the compiler knows them."""
        function = self.py_func
        known = {
            name: function.__globals__[name].compiled
            for name in function.__code__.co_names
            if isinstance(function.__globals__.get(name), Kernel)
        }
        if not known:
            return function
        scope = {**function.__globals__, **known}
        twin = FunctionType(
            function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
        )
        return functools.update_wrapper(twin, function)
