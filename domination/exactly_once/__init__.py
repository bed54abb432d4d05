"""The library: two exactly-once Bytewax ends on Kafka.

It may import the standard library, Bytewax and a Kafka client, and nothing of ratings or shadows.
Importing this package itself loads no Kafka client.
"""
