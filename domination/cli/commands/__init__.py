"""The commands, a module each: options, one call of the module that owns the work, its output.

Each has its click command as `command`; `main.py` imports it only when it is called.
"""
