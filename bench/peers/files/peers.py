"""Runs the query of a file with one program, on some threads, and prints what it came to.

    python peers.py PROGRAM NAME PATH THREADS

The program is duckdb, chdb, polars or datafusion. The name says which file it is, and after "~"
which query over it. The time goes from opening the file to the last
group. Importing the program does not count. The time of the processor is that of all threads.
Everything is printed as one object of JSON:

    {"version": "1.2.3", "seconds": 0.12, "processor": 0.11, "groups": [[key, low, mean, high], ...]}

A program that cannot be imported, or that cannot read the file, ends with an error.
"""

import json
import os
import sys
import time

TEXT, INT, FLOAT, TIME = "text", "int", "float", "time"

TRADES = [("symbol", TEXT), ("price", FLOAT), ("size", INT), ("at", TIME), ("note", TEXT)]
WIDE = [("id", INT), ("at", TIME), ("symbol", TEXT), ("venue", TEXT), ("side", TEXT), ("price", FLOAT),
        ("size", INT), ("account", TEXT), ("fee", FLOAT), ("note", TEXT)]
VALUES = [("g", TEXT), ("t", TEXT), ("k", TEXT), ("n", INT), ("x", FLOAT)]
LOG = [("at", TIME), ("host", TEXT), ("request", {"method": TEXT}), ("status", INT), ("bytes", INT),
       ("duration", FLOAT), ("user", TEXT), ("agent", TEXT)]

# Of each file: its columns, the key, the column of the minimum and the mean, and the column of the
# maximum.
FILES = {
    "measurements.txt": ([("city", TEXT), ("celsius", FLOAT)], "city", "celsius", "celsius"),
    "trades.csv": (TRADES, "symbol", "price", "size"),
    "trades.ndjson": (TRADES, "symbol", "price", "size"),
    "trades10.csv": (WIDE, "symbol", "price", "size"),
    "trades10.csv.gz": (WIDE, "symbol", "price", "size"),
    "trades10.parquet": (WIDE, "symbol", "price", "size"),
    "trades10-all.parquet": (WIDE, "venue", "price", "size"),
    "weblog.ndjson": (LOG, "host", "duration", "bytes"),
    "values.csv~different-texts": (VALUES, "g", "t", None),
    "values.csv~different-numbers": (VALUES, "g", "n", None),
    "values.csv~median": (VALUES, "g", "x", None),
    "values.csv~million-groups": (VALUES, "k", "x", "n"),
}


def now():
    """The time by the clock, and the time of the processor."""
    return time.perf_counter(), time.process_time()


def elapsed(begin):
    return [b - a for a, b in zip(begin, now())]


def condition(name, method):
    """The WHERE of a file in SQL. method is how the method of a request is written."""
    if name.startswith("trades."):
        return "WHERE size > 100"
    if name == "weblog.ndjson":
        return f"WHERE {method} = 'GET'"
    return ""


def select(name, table, method, median="median(x)"):
    _, key, value, high = FILES[name]
    if "~different" in name:
        return (f"SELECT g, CAST(count(DISTINCT {value}) AS double) AS low, CAST(0 AS double) AS mean, count(*) AS high "
                f"FROM {table} GROUP BY g")
    if "~median" in name:
        return f"SELECT g, min(x) AS low, {median} AS mean, count(*) AS high FROM {table} GROUP BY g"
    if name == "trades10-all.parquet":
        return (f"SELECT venue, min(price + CAST(fee AS double)) AS low, avg(price * size) AS mean, "
                f"max(id + length(note)) AS high FROM {table} WHERE side = 'buy' AND account <> 'A1' AND "
                f"\"at\" > timestamp '2001-01-01 00:00:00' GROUP BY venue")
    return (f"SELECT {key}, min({value}) AS low, avg({value}) AS mean, max({high}) AS high FROM {table} "
            f"{condition(name, method)} GROUP BY {key}")


def is_parquet(name):
    return name.endswith(".parquet")


def is_json(name):
    return name.endswith(".ndjson")


def run_duckdb(name, path, threads):
    import duckdb
    types = {TEXT: "VARCHAR", INT: "BIGINT", FLOAT: "DOUBLE", TIME: "TIMESTAMP"}
    columns = "{" + ",".join(
        f"'{c}':'{types[t] if isinstance(t, str) else 'STRUCT(method VARCHAR)'}'" for c, t in FILES[name][0]) + "}"
    if is_parquet(name):
        table = f"read_parquet('{path}')"
    elif is_json(name):
        table = f"read_json('{path}', format='newline_delimited', columns={columns})"
    elif name == "measurements.txt":
        table = f"read_csv('{path}', header=false, delim=';', quote='', columns={columns})"
    else:
        table = f"read_csv('{path}', header=true, delim=',', quote='\"', escape='\"', columns={columns})"
    db = duckdb.connect()
    db.execute(f"SET threads = {threads}")
    begin = now()
    rows = db.execute(select(name, table, "request.method")).fetchall()
    return duckdb.__version__, elapsed(begin), rows


def run_chdb(name, path, threads):
    import chdb
    types = {TEXT: "Nullable(String)", INT: "Int64", FLOAT: "Float64", TIME: "DateTime64(3)"}
    structure = ", ".join(
        f"{c} {types[t] if isinstance(t, str) else 'Tuple(method String)'}" for c, t in FILES[name][0])
    structure = structure.replace(FILES[name][1] + " Nullable(String)", FILES[name][1] + " String")
    form = "JSONEachRow" if is_json(name) else "CSV" if name == "measurements.txt" else "CSVWithNames"
    settings = f" SETTINGS max_threads = {threads}, date_time_input_format = 'best_effort'"
    if name == "measurements.txt":
        settings += ", format_csv_delimiter = ';'"
    table = f"file('{path}', {form}, '{structure}')"
    if is_parquet(name):
        table = f"file('{path}', Parquet)"
    chdb.query("SELECT 1")
    begin = now()
    out = chdb.query(select(name, table, "request.method", "quantileExactInclusive(0.5)(x)") + settings, "JSONCompactEachRow")
    seconds = elapsed(begin)
    rows = [json.loads(line) for line in str(out).splitlines()]
    return getattr(chdb, "__version__", "?"), seconds, [[r[0]] + [float(x) for x in r[1:]] for r in rows]


def run_polars(name, path, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars as pl
    types = {TEXT: pl.String, INT: pl.Int64, FLOAT: pl.Float64, TIME: pl.String}
    schema = {c: types[t] if isinstance(t, str) else pl.Struct({"method": pl.String}) for c, t in FILES[name][0]}
    _, key, value, high = FILES[name]
    begin = now()
    if is_parquet(name):
        rows = pl.scan_parquet(path)
    elif is_json(name):
        rows = pl.scan_ndjson(path, schema=schema)
    elif name == "measurements.txt":
        rows = pl.scan_csv(path, has_header=False, separator=";", quote_char=None, schema=schema)
    else:
        rows = pl.scan_csv(path, schema=schema)
    if name.startswith("trades."):
        rows = rows.filter(pl.col("size") > 100)
    elif name == "weblog.ndjson":
        rows = rows.filter(pl.col("request").struct.field("method") == "GET")
    if "~different" in name or "~median" in name:
        low, mean = (pl.col("x").min(), pl.col("x").median()) if "~median" in name else (pl.col(value).n_unique(), 0.0)
        groups = rows.group_by(key).agg(low=low, mean=mean, high=pl.len()).collect(engine="streaming").rows()
        return pl.__version__, elapsed(begin), groups
    if name == "trades10-all.parquet":
        rows = rows.filter((pl.col("side") == "buy") & (pl.col("account") != "A1") &
                           (pl.col("at") > pl.datetime(2001, 1, 1)))
        rows = rows.select("venue", price=pl.col("price") + pl.col("fee").cast(pl.Float64),
                           value=pl.col("price") * pl.col("size"), size=pl.col("id") + pl.col("note").str.len_chars())
        groups = rows.group_by(key).agg(low=pl.col("price").min(), mean=pl.col("value").mean(), high=pl.col("size").max())
        groups = groups.collect(engine="streaming").rows()
        return pl.__version__, elapsed(begin), groups
    groups = rows.group_by(key).agg(low=pl.col(value).min(), mean=pl.col(value).mean(), high=pl.col(high).max())
    groups = groups.collect(engine="streaming").rows()
    return pl.__version__, elapsed(begin), groups


def run_datafusion(name, path, threads):
    os.environ["TOKIO_WORKER_THREADS"] = str(threads)
    import datafusion
    import pyarrow as pa
    types = {TEXT: pa.string(), INT: pa.int64(), FLOAT: pa.float64(), TIME: pa.timestamp("ms", tz="UTC")}
    schema = pa.schema([(c, types[t] if isinstance(t, str) else pa.struct([("method", pa.string())]))
                        for c, t in FILES[name][0]])
    db = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(threads))
    begin = now()
    if is_parquet(name):
        db.register_parquet("r", path)
    elif is_json(name):
        db.register_json("r", path, schema=schema, file_extension=".ndjson")
    elif name == "measurements.txt":
        db.register_csv("r", path, schema=schema, has_header=False, delimiter=";", file_extension=".txt")
    elif name.endswith(".gz"):
        db.register_csv("r", path, schema=schema, file_extension=".csv.gz", file_compression_type="gzip")
    else:
        db.register_csv("r", path, schema=schema)
    batches = db.sql(select(name, "r", "request['method']")).collect()
    seconds = elapsed(begin)
    return datafusion.__version__, seconds, [list(row.values()) for b in batches for row in b.to_pylist()]


def main():
    program, name, path, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    run = {"duckdb": run_duckdb, "chdb": run_chdb, "polars": run_polars, "datafusion": run_datafusion}[program]
    version, seconds, groups = run(name, path, threads)
    json.dump({"version": version, "seconds": seconds[0], "processor": seconds[1],
               "groups": [list(g) for g in groups]}, sys.stdout)


main()
