"""The page of all exchanges says what is."""

import pytest

from tests.contract import table


@pytest.mark.needs("shared")
def test_the_page_of_all_exchanges_is_current() -> None:
    written = table.PAGE.read_text(encoding="utf-8").partition(table.BEGIN)[2].partition(table.END)[0]
    assert written == table.tables(), "python -m tests.contract.table --write"
