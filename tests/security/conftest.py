"""One running API for all tests of a file: each sends a request or two and leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.unit.api.running import Running, config, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Return a server over an empty data folder."""
    folder = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            patch.setenv(name, str(folder))
        async with running(config(folder)) as made:
            yield made
