"""ClickHouse: a server asked over its native protocol, the tables, the queries, the report.

May import errors, settings and the rule; only `server.py` knows clickhouse_driver.
"""
