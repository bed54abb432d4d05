"""The command line: a lazy group, the form of what is shown, and a module for each command.

It may import every other module of the package; none of them may import it.
"""
