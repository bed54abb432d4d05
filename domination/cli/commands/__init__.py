"""The commands, a module for each: options, a call of what does the work, and its output.

It may import `cli.style`, `cli.advice` and all below the command line; not another command.
"""
