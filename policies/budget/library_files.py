"""Library files executed one by one, without the packages around them and without the most of scipy.

Of scipy.stats the files that a receipt's check needs take the normal distribution alone, of scipy.signal one function
for histories of several parts, of scipy.integrate one integral; importing all three takes longer than all else that the
check does. So inside these files, and nowhere else, names stand for them: the normal distribution is computed by the
same functions of scipy.special that scipy.stats calls, the integral by scipy's own file, executed alone, and whatever
else is asked for comes from scipy itself, then. scipy.special is imported as it is, but for scipy.linalg, which one of
its files gets when it calls it. Likewise of torch.distributed.tensor, which Opacus' optimisers name in annotations
alone and which takes as long to import as a third of torch. Sees nothing of the data.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

_SCIPY_FILES = "scipy_files"
_CALLS_LINALG = "scipy.special._orthogonal"  # for weights of quadratures, which nothing here asks for
_OF_ANNOTATIONS = "torch.distributed.tensor"
_loading = threading.Lock()
_roots: dict[str, str] = {}  # package that files are executed as → the library that they are of


def module(name: str, *, library: str, packages: Sequence[str]) -> ModuleType:
    """One file of a library, as a module of a package of its own.

    Args:
        name: Such as `dp_accounting_files.pld.common`; what comes before the first dot stands for the library.
        library: The library's name.
        packages: Which packages above the file are named and not executed, each with the folder that it stands for:
            `name=folder`, the folder as a path below the library's.

    Raises:
        ModuleNotFoundError: The library is not installed.
    """
    with _loading:
        if name not in sys.modules:
            root = name.partition(".")[0]
            _roots[root] = library
            _find()
            for entry in packages:
                package, _, folder = entry.partition("=")
                if package not in sys.modules:
                    sys.modules[package] = made = ModuleType(package)
                    made.__path__ = [str(_folder(library) / folder)]
    return importlib.import_module(name)


def special() -> ModuleType:
    """scipy.special itself, imported without scipy.linalg, which takes as long as all else of it."""
    _find()
    return importlib.import_module("scipy.special")


def quadrature() -> ModuleType:
    """scipy's own file that has `scipy.integrate.quad`. Its `IntegrationWarning` is a class of its own."""
    packages = [f"{_SCIPY_FILES}=", f"{_SCIPY_FILES}.integrate=integrate"]
    return module(f"{_SCIPY_FILES}.integrate._quadpack_py", library="scipy", packages=packages)


def _find() -> None:
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _folder(library: str) -> Path:
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)
    return Path(found.origin).parent


class _Finder(PathFinder):
    """Finds the files of these packages, and loads them with names of their own for parts of scipy."""

    @classmethod
    def find_spec(cls, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if fullname != _CALLS_LINALG and fullname.partition(".")[0] not in _roots:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Executes a file whose import statements ask `_import`."""

    def exec_module(self, module: ModuleType) -> None:
        root = module.__name__.partition(".")[0]

        def ask(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            return _import(root, name, globals, locals, fromlist, level)

        vars(module)["__builtins__"] = {**vars(builtins), "__import__": ask}
        super().exec_module(module)


def _import(root: str, name: str, globals: Any, locals: Any, fromlist: Any, level: int) -> Any:
    if level == 0 and name == "scipy.signal" and fromlist:
        return _Signal
    if level == 0 and name == "scipy" and fromlist and set(fromlist) <= {"integrate", "linalg", "signal", "stats"}:
        linalg = _Later(partial(importlib.import_module, "scipy.linalg"))
        return SimpleNamespace(integrate=_Later(quadrature), linalg=linalg, signal=_Signal, stats=_Stats)
    if level == 0 and name == _OF_ANNOTATIONS and fromlist:
        return SimpleNamespace(**{one: _Later(partial(importlib.import_module, name)) for one in fromlist})
    if level == 0 and name == "scipy.special":
        special()
    if level == 0 and name.partition(".")[0] == _roots.get(root):  # a file of the same library: likewise one by one
        name = root + name.removeprefix(_roots[root])
    return builtins.__import__(name, globals, locals, fromlist, level)


class _Later:
    """For a module that is loaded when one of its names is asked for."""

    def __init__(self, load: Callable[[], ModuleType]) -> None:
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)


class _Signal:
    """For scipy.signal, which is imported when it is called."""

    @staticmethod
    def convolve(*arguments: Any, **settings: Any) -> Any:
        return importlib.import_module("scipy.signal").convolve(*arguments, **settings)


class _Normal:
    """The normal distribution around 0, as scipy.stats computes it where every argument is a number."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def cdf(self, x: Any) -> Any:
        from scipy.special import ndtr

        return ndtr(x / self._scale)

    def logcdf(self, x: Any) -> Any:
        from scipy.special import log_ndtr

        return log_ndtr(x / self._scale)

    def ppf(self, share: Any) -> Any:
        from scipy.special import ndtri

        return ndtri(share) * self._scale


class _Stats:
    """For scipy.stats, of which it has the normal distribution; the files' other functions are not called."""

    norm = _Normal
