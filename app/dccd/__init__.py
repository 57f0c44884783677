"""dccd: crypto-currency market data, complete, on your own disk, in plain Parquet.

``Client`` runs the verbs; ``scan`` reads a data folder without a server and without a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dccd.domain.version import __version__

__all__ = ["Client", "__version__", "scan"]

if TYPE_CHECKING:
    from dccd.interfaces.client import Client
    from dccd.interfaces.notebook import scan

_HOMES = {"Client": "dccd.interfaces.client", "scan": "dccd.interfaces.notebook"}


def __getattr__(name: str) -> Any:
    # Loaded when first used: the command line's --help must not wait for pyarrow.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
