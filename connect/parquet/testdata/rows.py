"""Prints the rows of a Parquet file, as pyarrow and as DuckDB read it, as the .txt files of this folder have them."""
import json, sys
import duckdb, pyarrow as pa, pyarrow.parquet as pq


def show(name, t, v):
    if v is None: return "NULL"
    if t == "bool": return str(int(v))
    if t == "f": return repr(v).removesuffix(".0")
    if t == "s": return json.dumps(v, ensure_ascii=False)
    return str(v)


table = pq.read_table(sys.argv[1])
kinds, arrays, selects = [], [], []
for f in table.schema:
    c = table.column(f.name)
    quoted = '"' + f.name.replace('"', '""') + '"'
    if pa.types.is_timestamp(f.type): k, c, q = "i", c.cast(pa.int64()), f"epoch_ns({quoted})"
    elif pa.types.is_decimal(f.type):
        k = "i"
        q = f"replace({quoted}::varchar, '.', '')::hugeint"
        c = pa.chunked_array([[None if v is None else int(v.scaleb(f.type.scale)) for v in c.to_pylist()]], pa.int64())
    elif pa.types.is_boolean(f.type): k, q = "bool", quoted
    elif pa.types.is_floating(f.type): k, q = "f", quoted
    elif pa.types.is_string(f.type): k, q = "s", quoted
    else: k, q = "i", quoted
    kinds.append((f.name, k)), arrays.append(c.to_pylist()), selects.append(q)
for row in zip(*arrays): print(*[show(n, k, v) for (n, k), v in zip(kinds, row)], sep="\t")
print("--")
for row in duckdb.sql(f"select {', '.join(selects)} from read_parquet('{sys.argv[1]}')").fetchall():
    print(*[show(n, k, v) for (n, k), v in zip(kinds, row)], sep="\t")
