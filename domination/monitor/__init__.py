"""The monitor: what Kafka and ClickHouse are asked again and again, and the page that shows it.

May import `clickhouse/` and what asks Kafka; only `server.py` knows NiceGUI.
"""
