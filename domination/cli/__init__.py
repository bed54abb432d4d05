"""The command line: a lazy group, how its commands show what they found, and a file a command.

It may import everything; nothing imports it but `__main__` and the entry point.
"""
