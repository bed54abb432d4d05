"""What check finds where no server at hand can be brought to show it."""

from __future__ import annotations

from typing import Any

import pytest

from domination import check
from domination.errors import DominationError, Exit
from domination.settings import Settings


class NewServer:
    """A ClickHouse without tables that is new enough and loads them as its setting says."""

    def __init__(self, async_load_databases: str) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {
            "SELECT version()": [("25.8.1.3994",)],
            "SELECT value FROM system.server_settings WHERE name = 'async_load_databases'": [
                (async_load_databases,)
            ],
        }

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return self._rows.get(query, [])


@pytest.mark.parametrize("setting", ["0", "1"])
def test_a_server_that_loads_its_tables_after_it_reads_is_found_with_78(setting: str) -> None:
    found = dict(check.of_clickhouse(Settings(), NewServer(setting), "here:9000"))
    assert found["ClickHouse 25.8.1.3994 at here:9000"] is None
    loading = found["async_load_databases"]
    if setting == "0":
        assert loading is None
    else:
        assert isinstance(loading, DominationError)
        assert loading.exit_code is Exit.SETTING
        assert "set it to false" in str(loading)
    # One finding does not hide the next.
    assert "domination schema apply" in str(found["tables"])
