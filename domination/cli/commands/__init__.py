"""The commands, a module for each: options, a call of what does the work, and its output.

They may import `cli.style` and all below the command line; not each other.
"""
