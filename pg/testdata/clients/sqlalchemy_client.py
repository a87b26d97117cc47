"""Reflects and reads a view with SQLAlchemy and psycopg 3, and prints what it finds. Arguments: a URL, a view."""
import sys

import sqlalchemy as sa

view = sys.argv[2]
engine = sa.create_engine(sys.argv[1].replace("postgres://", "postgresql+psycopg://", 1).split("?")[0])
inspector = sa.inspect(engine)
print("views", view in inspector.get_materialized_view_names())
print("columns", *[f"{c['name']}:{c['type']}" for c in inspector.get_columns(view)])
print("indexes", *[i["name"] for i in inspector.get_indexes(view)])
table = sa.Table(view, sa.MetaData(), autoload_with=engine)
with engine.connect() as c:
    row = c.execute(sa.select(table.c.symbol, table.c.n, table.c.avg_price, table.c.turnover)
                    .where(table.c.symbol == "S1")).one()
    print(*row)
    print("parameters", c.execute(sa.select(sa.func.count()).select_from(table)
                                  .where(table.c.n >= 1, table.c.avg_price < 5.5)).scalar())
    try:
        c.execute(sa.text(f"SELECT nothing FROM {view}"))
    except sa.exc.DBAPIError as e:
        print("error", e.orig.sqlstate)
