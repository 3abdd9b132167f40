"""The platform's errors on their way out of PySyft: a code and a public text for who asked, the rest for the log."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from syft.service.response import SyftError
from syft.types.errors import SyftException

from policies.errors import ConfigError, WanwuError

log = logging.getLogger(__name__)


def refusal(error: WanwuError) -> SyftError:
    """What a researcher's call is answered with."""
    _keep(error)
    return SyftError(message=f"{error.code}: {error.public}")


def with_its_code(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of PySyft's services, out of which an error of the platform comes with its code and its public text.

    PySyft would print its whole chain of causes, and answer that something unexpected happened.
    """

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except WanwuError as error:
            _keep(error)
            said = f"{error.code}: {error.public}"
        raise SyftException(public_message=said)

    return called


def _keep(error: WanwuError) -> None:
    """Writes down what the hospital has to know of its database; other errors quote what researchers sent."""
    if isinstance(error, ConfigError) and error.private:
        log.warning("PySyft: %s", error.private)
