"""Reads views with psycopg 3, and prints what it finds. Arguments: a connection string, a view."""
import sys

import psycopg

with psycopg.connect(sys.argv[1], autocommit=True) as c:
    view = sys.argv[2]
    for binary in (False, True):
        cur = c.cursor(binary=binary)
        for i in range(7):  # prepared after five executions
            cur.execute(f"SELECT symbol, n, avg_price, turnover, hot, last_at FROM {view} WHERE symbol = %s", ("S1",))
            row = cur.fetchone()
        print(*row[:5], row[5].isoformat())
    print("parameters", c.execute(f"SELECT count(*) FROM {view} WHERE n >= %s AND avg_price < %s AND NOT hot = %s",
                                  (1, 5.5, True)).fetchone()[0])
    with c.transaction():
        print("in a transaction", c.execute(f"SELECT count(*) FROM {view}").fetchone()[0], c.info.transaction_status.name)
    print("after it", c.info.transaction_status.name)
    try:
        c.execute(f"SELECT nothing FROM {view}")
    except psycopg.Error as e:
        print("error", e.sqlstate)
    with c.transaction(), c.cursor(name="some") as cur:
        cur.itersize = 3
        cur.execute(f"SELECT symbol FROM {view}")
        print("a cursor", len(list(cur)))
    with c.cursor().copy(f"COPY (SELECT symbol, n FROM {view}) TO STDOUT") as copy:
        print("copied", len(list(copy.rows())))
    with c.pipeline():
        cur = c.execute(f"SELECT count(*) FROM {view}")
    print("a pipeline", cur.fetchone()[0])
    print("stream", len(list(c.cursor().stream(f"SELECT n FROM {view}"))))
