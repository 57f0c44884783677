"""dccd from Python: see :class:`Client`."""

from dccd.interfaces.client.connection import ApiError
from dccd.interfaces.client.verbs import Client

__all__ = ["ApiError", "Client"]
