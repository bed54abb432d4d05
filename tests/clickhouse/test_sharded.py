"""The tables on a cluster, as `schema print --cluster` gives them: those of one server, sharded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from domination.cli.main import main
from domination.clickhouse import queries, schema, sharded
from domination.clickhouse.faults import ShardedError
from domination.forget import forget
from domination.settings import Settings
from harness.clickhouse_core import ClickHouseCore
from harness.processes import ROOT
from harness.shadow_samples import GOOD
from harness.shadow_topic import RECORDS, hold, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = """it's \\ENGINE = "one" """
WRITTEN: Final = r"""'it\'s \\ENGINE = "one" '"""
PARSED: Final = r"""`it's \\ENGINE = "one" `"""
# A text that reads like parts of statements.
SETTINGS: Final = Settings(
    clickhouse_group="'\nENGINE = ReplacingMergeTree IF NOT EXISTS shadow_stream",
    clickhouse_ttl_days=90,
)
KEYED: Final = "ReplacingMergeTree"
REPLICATED: Final = (
    "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"
)
LOCAL: Final = ("shadow_local", "shadow_broken_local")
OTHERS: Final = (b"text", b'{"unique_id":"good 0"}')
"""Records that are no shadows."""
# A cluster of this ClickHouse alone: one without a network and a Keeper can have no other.
ONE: Final = """\
<clickhouse><tcp_port>9000</tcp_port><remote_servers><one><shard>
<replica><host>127.0.0.1</host><port>9000</port></replica>
</shard></one></remote_servers></clickhouse>
"""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseCore]:
    """Give a ClickHouse core that knows a cluster with the name `one`."""
    made = ClickHouseCore(tmp_path_factory.mktemp("one"))
    made.configure("one", ONE)
    made.start()
    yield made
    made.kill()


def test_a_local_table_is_that_of_one_server_but_for_its_engine_and_the_rest_is_the_same() -> None:
    single = dict(schema.statements(SETTINGS))
    made = dict(sharded.statements(SETTINGS, NAME))
    assert list(made) == [
        "shadow_local",
        "shadow",
        "shadow_broken_local",
        "shadow_broken",
        *list(single)[2:],
    ]
    for name, sql in made.items():
        head, on_cluster, rest = sql.partition(f" ON CLUSTER {WRITTEN}")
        assert head.endswith(f" IF NOT EXISTS {name}")
        assert on_cluster
        table = name.removesuffix("_local")
        without = head.removesuffix(name) + table + rest
        if name != table:
            assert without == single[table].replace(KEYED, REPLICATED, 1)
        elif f"{name}_local" in made:
            columns, _, engine = without.partition("\nENGINE = ")
            assert columns == single[name].partition("\nENGINE = ")[0]
            assert engine.startswith(f"Distributed({WRITTEN}, currentDatabase(), '{name}_local', ")
        else:
            assert without == single[name]


def test_copies_of_a_record_are_on_one_shard_since_the_sharding_key_is_of_the_sorting_key() -> None:
    made = dict(sharded.statements(SETTINGS, NAME))
    for table in ("shadow", "shadow_broken"):
        (columns,) = re.findall(r", cityHash64\((.*)\)\)$", made[table])
        (sorting,) = re.findall(r"\nORDER BY \((.*)\)", made[f"{table}_local"])
        assert set(columns.split(", ")) < set(sorting.split(", "))


def test_clickhouse_parses_each_statement_with_the_cluster_that_was_named(
    one: ClickHouseCore,
) -> None:
    for name, sql in sharded.statements(SETTINGS, NAME):
        ((parsed,),) = one.execute(f"SELECT formatQuerySingleLine({queries.literal(sql)})")
        assert f" IF NOT EXISTS {name} ON CLUSTER {PARSED} " in parsed


@pytest.fixture
def stored(one: ClickHouseCore) -> ClickHouseCore:
    """Give the core with the tables of its cluster, and records that were read twice."""
    # Without a Keeper there are no replicas, and no statements for a whole cluster.
    for name, sql in sharded.statements(Settings(), "one"):
        if name not in {schema.STREAM, schema.CONSUMER}:
            one.execute(sql.replace(" ON CLUSTER 'one'", "").replace(REPLICATED, KEYED))
    one.execute(RECORDS.replace("TABLE", "TABLE IF NOT EXISTS"))
    for table in LOCAL:
        one.execute(f"TRUNCATE TABLE {table}")
    hold(one, [*GOOD, *OTHERS])
    one.execute("SET distributed_foreground_insert = 1")
    for _ in range(2):
        one.execute(f"INSERT INTO shadow_inbox {reading()}")
    return one


def test_records_that_are_read_again_are_the_same_rows_of_the_whole_cluster(
    stored: ClickHouseCore,
) -> None:
    assert stored.count("shadow") == stored.count("shadow_local") == len(GOOD)
    assert stored.count("shadow_broken") == stored.count("shadow_broken_local") == len(OTHERS)
    assert sum(queries.counts(stored).values()) == len(queries.latest(stored, 100)) == len(GOOD)
    assert stored.execute("SELECT min(received) > toDateTime(0) FROM shadow") == [(1,)]


def test_apply_changes_no_table_of_rows_on_a_cluster_and_forget_says_that_it_deletes_none(
    stored: ClickHouseCore,
) -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:1", clickhouse_ttl_days=1)
    done = stored.apply(settings)
    assert {done[table] for table in ("shadow", "shadow_broken")} == {"exists, not changed"}
    with pytest.raises(ShardedError, match=r"table: shadow, shadow_broken$"):
        next(forget(stored, settings, "good 0", yes=True))
    assert stored.count("shadow") == len(GOOD)


def test_the_statements_of_the_page_delete_a_human_and_no_other(stored: ClickHouseCore) -> None:
    page = (ROOT / "docs" / "operate.md").read_text().replace("…", "good 0")
    for sql in re.findall(r"ALTER TABLE \w+_local ON CLUSTER [^;`]+", page):
        stored.execute(sql.replace(" ON CLUSTER 'events'", "") + " SETTINGS mutations_sync = 1")
    assert stored.count("shadow") == len(GOOD) - 1
    assert stored.count("shadow_broken") == len(OTHERS) - 1


@pytest.mark.parametrize(
    ("option", "code"), [([], 0), (["--cluster", NAME], 0), (["--cluster", ""], 2)]
)
def test_print_gives_the_form_of_a_cluster_where_one_is_named(
    option: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "print", *option]) == code
    printed = capsys.readouterr().out
    named = NAME in option
    assert printed.count(f" ON CLUSTER {WRITTEN}") == printed.count("IF NOT EXISTS") * named
