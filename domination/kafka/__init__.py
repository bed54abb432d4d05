"""What any program needs of Kafka: clients, what their errors mean, topics, groups.

May import confluent_kafka and the standard library; no settings, no exit codes.
"""
