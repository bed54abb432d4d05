"""A session in memory: a model of Kafka, a reader and a writer on it, and whom they serve."""
