"""The same running API that its unit tests use."""

from tests.unit.api.conftest import api, runtime_folder

__all__ = ["api", "runtime_folder"]
