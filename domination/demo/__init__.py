"""The demo: the whole system in one terminal, with an embedded Kafka and an embedded ClickHouse.

May import `monitor/` and everything below; `embedded.py` loads chdb, `panel.py` rich.
"""
