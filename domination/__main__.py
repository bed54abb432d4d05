"""`python -m domination`."""

from domination.cli.main import entry

entry()
