"""A library: two ends on Kafka for Bytewax, from one topic to others, each record exactly once.

May import domination.kafka and the Kafka client, and Bytewax in ends.py and operators.py.
"""
