"""A worker process: the dataflow between its ends, how it ends, what it counts and who may ask it.

May import all that is not a command: flow, exactly_once, kafka, settings, log, advice.
"""
