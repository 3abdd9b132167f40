"""Packages that PySyft imports and a datasite leaves out, so that less code of others runs in a hospital.

PySyft takes them in as it is imported, for its client's pictures in a notebook and for workers in a cluster.
A datasite shows no notebook and starts no worker of PySyft's, and they are half of all modules that would be loaded.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

PACKAGES = ("IPython", "azure", "boto3", "botocore", "docker", "ipywidgets", "itables", "kr8s", "pandas")
"""None of them is loaded by a datasite. Torch is the other package that PySyft finds missing there."""
_WITHOUT_A_NOTEBOOK = ("get_ipython", "display")  # PySyft asks for the one as it is imported, and calls the other


class _Absent(type):
    """The class of every name that is taken from a package left out: it can be named, and not used."""

    def __call__(cls, *_: object, **__: object) -> NoReturn:
        raise ImportError(f"{cls.__module__}.{cls.__name__} is left out: a datasite does not load that package")


class _EmptyModule(ModuleType):
    """Stands for a module of a package that is left out: any name of it can be imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _nothing if name in _WITHOUT_A_NOTEBOOK else _absent(name, self.__name__)
        setattr(self, name, made)
        return made


class _Finder(MetaPathFinder, Loader):
    """Finds an empty module for every module of these packages."""

    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """An empty module's, where its package is left out."""
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in self._packages else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty one."""
        return _EmptyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it is empty."""


@contextlib.contextmanager
def left_out() -> Iterator[None]:
    """Imports inside find nothing in these packages; imports afterwards find them as they are.

    A package that this process has loaded before stays what it is.
    """
    finder = _Finder(frozenset(PACKAGES) - set(sys.modules))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _EmptyModule)]:
            del sys.modules[name]


def _absent(name: str, module: str) -> type:
    """A class of that name. What is named as an error is one, so that it can be looked for where errors are caught."""
    bases = (Exception,) if name.endswith("Error") else ()
    return _Absent(name, bases, {"__module__": module})


def _nothing(*_: object) -> None:
    """There is no notebook, and nothing is shown in it."""
