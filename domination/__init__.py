"""Domination: a stream of human ratings becomes a stream of shadows, exactly once."""

__version__ = "2.0.0.dev0"
