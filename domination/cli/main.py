"""The command line: one thin function a command. Heavy imports wait for their command."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from domination import __version__
from domination.board import live
from domination.cli.commands.dead_letters import dead_letters
from domination.cli.style import FORMAT, Group, print_json
from domination.errors import DominationError, Exit
from domination.settings import LOG_FORMATS, LOG_LEVELS, from_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHOW_SECONDS: Final = 0.2
_TOPICS: Final = ("input_topic", "output_topic", "dead_letter_topic")
_STREAM: Final = (
    "clickhouse_kafka_brokers",
    "bootstrap_servers",
    "output_topic",
    "clickhouse_group",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an expected error is one line on stderr and its exit code."""
    try:
        return int(cli.main(arguments, prog_name="domination", standalone_mode=False) or Exit.OK)
    except DominationError as error:
        click.echo(f"domination: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130


def _print_version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:  # noqa: FBT001
    if not asked:
        return
    from importlib.metadata import version  # noqa: PLC0415

    import confluent_kafka  # noqa: PLC0415

    click.echo(
        f"domination {__version__} (bytewax {version('bytewax')}, "
        f"confluent-kafka {version('confluent-kafka')}, "
        f"librdkafka {confluent_kafka.libversion()[0]}, Python {sys.version.split()[0]})"
    )
    context.exit()


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=["domination demo", "domination check", "domination worker -l info"],
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the versions of domination, bytewax and librdkafka, and exit.",
)
def cli() -> None:
    """Judge humans as they are rated: from the topic dominate to the topic shadow, exactly once.

    Every setting is an environment variable: each command names those that matter to it, and
    'domination config' lists them all with their values.

    Exit codes: 0 ended cleanly, 1 bug, 2 usage, 69 no broker or no ClickHouse, 75 fenced
    (start it again), 77 refused (password or rights), 78 wrong setting, missing topic or table,
    130 and 143 second signal.
    """


cli.add_command(dead_letters)

_SEED: Final = click.option(
    "--seed", type=int, show_default="chance", help="Send the humans of this seed, the same again."
)


@cli.command(
    examples=[
        "domination worker -l info",
        "DOMINATION_HTTP=9100 domination worker -w 2 --log-format json",
    ],
    settings=(
        *("bootstrap_servers", *_TOPICS, "group", "instance", "commit_interval_seconds"),
        *("availability_timeout_seconds", "http", "log_level", "log_format"),
    ),
)
@click.option(
    "-l", "--log-level", type=click.Choice(LOG_LEVELS), help="Wins over DOMINATION_LOG_LEVEL."
)
@click.option(
    "--log-format", type=click.Choice(LOG_FORMATS), help="Wins over DOMINATION_LOG_FORMAT."
)
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Run so many workers in this process; each is a member of the group.",
)
@click.option(
    "-i",
    "--process-id",
    type=click.IntRange(min=0),
    help="Take this place in a Bytewax cluster.",
)
@click.option(
    "-a",
    "--addresses",
    help="Find its processes at these, all of them: host:port, separated by ';'.",
)
def worker(
    log_level: str | None,
    log_format: str | None,
    workers: int,
    process_id: int | None,
    addresses: str | None,
) -> int:
    """Turn ratings into shadows until SIGTERM or Ctrl-C.

    The same program as 'python -m bytewax.run dataflows.dominate:flow'. Start as many as there are
    partitions, on any host: they share the topic out among themselves.
    """
    if (process_id is None) != (addresses is None):
        raise click.UsageError("--process-id and --addresses belong together.")
    settings = from_environment(log_level=log_level, log_format=log_format)
    from domination.worker import run  # noqa: PLC0415

    return run(settings, workers, process_id, addresses.split(";") if addresses else None)


@cli.command(
    examples=[
        "domination produce --rate 1000",
        "domination produce --count 100000 --seed 1",
    ],
    settings=("bootstrap_servers", "input_topic"),
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    show_default="as fast as it goes",
    help="Send so many ratings a second.",
)
@click.option(
    "--count",
    type=click.IntRange(min=0),
    show_default="without end",
    help="Send so many ratings.",
)
@_SEED
def produce(rate: float | None, count: int | None, seed: int | None) -> int:
    """Send HumanRatings to the topic dominate.

    Ends after --count, or on SIGTERM or Ctrl-C. Ratings are 0 to 100, unique ids are UUIDs; every
    delivery is confirmed.
    """
    settings = from_environment()
    from domination import log  # noqa: PLC0415
    from domination.broker import Admin, require_topics  # noqa: PLC0415
    from domination.humans import HumanProducer, encoded, human_ratings  # noqa: PLC0415
    from domination.lifecycle import Lifecycle  # noqa: PLC0415

    log.configure(settings)
    require_topics(Admin(settings).partitions({settings.input_topic: "WRITE"}))
    lifecycle = Lifecycle()
    lifecycle.stop_on_signals()
    producer = HumanProducer(settings)
    humans = islice(human_ratings(seed), count)
    sends = producer.send(encoded(humans), rate, going=lambda: not lifecycle.stopping)
    _show_progress(sends, count)
    producer.finish()
    click.echo(f"{producer.confirmed} ratings in {settings.input_topic}, every delivery confirmed")
    return Exit.OK


def _show_progress(sends: Iterator[int], count: int | None) -> None:
    """Run the sending, with a bar on a terminal, or a count where there is no end to it."""
    if not live(sys.stderr):
        for _ in sends:
            pass
    elif count:
        with click.progressbar(
            length=count, label="ratings", file=sys.stderr, show_pos=True
        ) as bar:
            for sent in sends:
                bar.update(sent)
    else:
        total, shown = 0, time.monotonic()
        for sent in sends:
            total += sent
            if time.monotonic() - shown >= _SHOW_SECONDS:
                shown = time.monotonic()
                click.echo(f"\r{total:,} ratings", nl=False, err=True)
        click.echo(f"\r{total:,} ratings", err=True)


@cli.command(
    examples=[
        "domination topics",
        "domination topics --partitions 12 --replication-factor 3",
    ],
    settings=("bootstrap_servers", *_TOPICS),
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Make so many of each topic: as many workers can share it out.",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Keep so many copies, each on another broker.",
)
def topics(partitions: int, replication_factor: int) -> None:
    """Make the three topics; one that exists is left as it is."""
    settings = from_environment()
    from domination import log  # noqa: PLC0415
    from domination.broker import Admin  # noqa: PLC0415

    log.configure(settings)
    admin = Admin(settings)
    for topic, found in admin.partitions(dict.fromkeys(settings.topics, "DESCRIBE")).items():
        made = not found and admin.create(topic, partitions, replication_factor)
        what = f"made, {partitions} partitions" if made else "exists, left as it is"
        click.echo(f"{topic}: {what}" + (f", {found} partitions" if found else ""))


@cli.command(
    examples=["domination check", "domination check kafka --format json"],
    settings=("bootstrap_servers", *_TOPICS, "group", "clickhouse_url", "clickhouse_group"),
)
@click.argument(
    "parts", type=click.Choice(["kafka", "clickhouse"]), nargs=-1, metavar="[kafka] [clickhouse]"
)
@FORMAT
def check(parts: tuple[str, ...], form: str) -> int:
    """Say what is missing, and how to mend it.

    Looks at the broker, the topics, the rights, ClickHouse, its tables and its lag; all of it, or
    the parts that are named. A worker needs Kafka alone. Ends with the exit code of what it found
    first, or with 0.
    """
    settings = from_environment(log_level="error")
    from domination import check, log  # noqa: PLC0415

    log.configure(settings)
    code = Exit.OK
    for what, error in check.findings(settings, parts or ("kafka", "clickhouse")):
        if form == "json":
            print_json({"ok": not error, "what": what, "error": str(error) if error else None})
        else:
            click.echo(f"{'FAIL' if error else 'ok  '} {what}" + (f": {error}" if error else ""))
        if error and code is Exit.OK:
            code = error.exit_code
    return code


@cli.group(examples=["domination schema print", "domination schema apply"])
def schema() -> None:
    """Print or make ClickHouse's tables."""


@schema.command(
    "print",
    examples=["domination schema print", "domination schema print > schema.sql"],
    settings=_STREAM,
)
def print_schema() -> None:
    """Print the statements that make the tables, the settings filled in; no ClickHouse needed."""
    from domination.schema import statements  # noqa: PLC0415

    for _, sql in statements(from_environment()):
        click.echo(f"{sql};\n")


@schema.command(
    examples=["domination schema apply"],
    settings=("clickhouse_url", *_STREAM),
)
def apply() -> None:
    """Make the tables that are missing; what is there stays.

    A stream that reads with other settings is made again; nothing is lost or read twice by that.
    """
    settings = from_environment()
    from domination.clickhouse import Server  # noqa: PLC0415
    from domination.schema import apply  # noqa: PLC0415

    with closing(Server(settings)) as server:
        for name, what in apply(server, settings):
            click.echo(f"{name}: {what}")


@cli.command(
    examples=["domination report", "domination report --format json"], settings=("clickhouse_url",)
)
@FORMAT
def report(form: str) -> None:
    """Count the rows of each type, and broken records."""
    settings = from_environment()
    from domination.clickhouse import Server  # noqa: PLC0415
    from domination.report import report  # noqa: PLC0415

    with closing(Server(settings)) as server:
        found = report(server)
    if form == "json":
        print_json(found.json())
    else:
        for line in found.lines():
            click.echo(line)


@cli.command(
    examples=["domination monitor"],
    settings=(
        *("monitor", "bootstrap_servers", *_TOPICS, "group"),
        *("clickhouse_url", "clickhouse_group", "log_level"),
    ),
)
def monitor() -> int:
    """Serve a live page of what flows and what is stored.

    At DOMINATION_MONITOR, until SIGTERM or Ctrl-C. It only reads, needs neither
    Kafka nor ClickHouse to start, and says which of them is down and since when.
    """
    settings = from_environment()
    from domination.errors import of_the_extra  # noqa: PLC0415

    with of_the_extra("the monitor", "monitor"):
        from domination.monitor import run  # noqa: PLC0415

    return run(settings, click.echo)


@cli.command(
    context_settings={"ignore_unknown_options": True},
    examples=["domination judge 9 10 15", "domination judge -9"],
)
@click.argument("ratings", type=int, nargs=-1, required=True, metavar="RATING...")
def judge(ratings: tuple[int, ...]) -> None:
    """Say what humans with these ratings are; no broker needed."""
    from domination.shadow import judge_all  # noqa: PLC0415

    for rating, shadow in zip(ratings, judge_all(ratings), strict=True):
        click.echo(f"{rating} {shadow.label}")


@cli.command(
    examples=["domination config", "DOMINATION_KAFKA_LINGER_MS=5 domination config --format json"]
)
@FORMAT
def config(form: str) -> None:
    """Show the settings in force, secrets hidden.

    One NAME=value a line. Any librdkafka property is a setting too: sasl.password is
    DOMINATION_KAFKA_SASL_PASSWORD. NAME_FILE names a file that has the value of NAME.
    """
    shown = dict(from_environment().shown())
    if form == "json":
        print_json(shown)
    else:
        for name, value in shown.items():
            click.echo(f"{name}={value}")


@cli.command(
    examples=[
        'eval "$(domination completion bash)"    # in ~/.bashrc',
        'eval "$(domination completion zsh)"     # in ~/.zshrc',
        "domination completion fish > ~/.config/fish/completions/domination.fish",
    ]
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete these commands."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    found = get_completion_class(shell)
    assert found, shell  # noqa: S101 - click has all three
    click.echo(found(cli, {}, "domination", "_DOMINATION_COMPLETE").source())


@cli.command(examples=["domination demo", "domination demo --humans 3000 --bad 0.05"])
@click.option(
    "--humans",
    type=click.IntRange(min=1),
    show_default="without end",
    help="Rate so many humans.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1000,
    show_default=True,
    help="Send so many ratings a second.",
)
@click.option(
    "--bad",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Break this share of the ratings, 0 to 1; they become dead letters.",
)
@_SEED
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    show_default="nowhere",
    help="Keep the rows here; a later demo adds to them.",
)
def demo(humans: int | None, rate: float, bad: float, seed: int | None, data: Path | None) -> int:
    """Run the whole system in this terminal.

    Kafka and ClickHouse are embedded; Ctrl-C ends it, with 0 if each human is exactly one row
    or one dead letter.
    """
    from domination.demo import Plan, run  # noqa: PLC0415

    return run(Plan(humans, rate, bad, seed, data), click.echo)
