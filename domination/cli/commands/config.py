"""`domination config`."""

from __future__ import annotations

import click

from domination import check, log
from domination.cli.style import FORMAT, Command, show
from domination.settings import from_environment


@click.command(
    "config",
    cls=Command,
    examples=["domination config", "DOMINATION_KAFKA_LINGER_MS=5 domination config --format json"],
)
@FORMAT
def command(form: str) -> None:
    """Show the settings in force; secrets are hidden.

    Each line is NAME=value. Any librdkafka property is a setting too: sasl.password is
    DOMINATION_KAFKA_SASL_PASSWORD. NAME_FILE names a file that holds the value of NAME. The exit
    code is 78 if librdkafka refuses a property.
    """
    settings = from_environment()
    log.configure(settings)
    shown = dict(settings.shown())
    show(form, shown, (f"{name}={value}" for name, value in shown.items()))
    check.require_clients(settings)
