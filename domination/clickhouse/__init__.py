"""ClickHouse: a server asked over its native protocol, the tables, the queries, the report.

May import settings and the labels of `shadow.py`; only `server.py` knows clickhouse_driver.
"""
