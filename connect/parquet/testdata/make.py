"""Makes the small files of this folder with pyarrow and DuckDB, and beside each the rows that it has.

    python make.py FOLDER

A row of a .txt file is a line, with a tab between values: integers, times in nanoseconds and decimals
without their point as numbers, texts in JSON's quotes, NULL.
"""
import decimal, json, os, random, sys, uuid
import duckdb, pyarrow as pa, pyarrow.parquet as pq

folder = sys.argv[1]
random.seed(7)
N = 120
DEC = decimal.Decimal


def maybe(v, every=5):
    return None if random.randrange(every) == 0 else v


def column(kind, n):
    r = random.randrange
    if kind == "bool": return [r(2) == 1 for _ in range(n)]
    if kind == "few": return ["NVDA", "AAPL", "MSFT", "", "Ünïcode"] and [random.choice(["NVDA", "AAPL", "MSFT", "", "Ünïcode"]) for _ in range(n)]
    if kind == "many": return ["k%06d" % r(10**6) + "x" * r(30) for _ in range(n)]
    if kind == "i8": return [r(-128, 128) for _ in range(n)]
    if kind == "u32": return [r(2**32) for _ in range(n)]
    if kind == "i32": return [r(-2**31, 2**31) for _ in range(n)]
    if kind == "i64": return [r(-2**63, 2**63) for _ in range(n)]
    if kind == "asc": return [10**12 + 7 * i + r(3) for i in range(n)]
    if kind == "f": return [float(r(-1000, 1000)) / 8 for _ in range(n)]
    if kind == "ms": return [r(-10**12, 2 * 10**12) for _ in range(n)]
    if kind == "us": return [r(-10**15, 2 * 10**15) for _ in range(n)]
    if kind == "ns": return [r(-10**18, 2 * 10**18) for _ in range(n)]
    if kind == "day": return [r(-30000, 30000) for _ in range(n)]
    if kind == "d9": return [DEC(r(-10**9 + 1, 10**9)).scaleb(-2) for _ in range(n)]
    if kind == "d18": return [DEC(r(-10**18 + 1, 10**18)).scaleb(-6) for _ in range(n)]
    if kind == "bin": return [bytes(r(256) for _ in range(r(9))) for _ in range(n)]
    if kind == "fix": return [bytes(r(65, 90) for _ in range(5)) for _ in range(n)]
    raise ValueError(kind)


COLUMNS = [
    ("b", "bool", pa.bool_()), ("few", "few", pa.string()), ("many", "many", pa.string()), ("i8", "i8", pa.int8()),
    ("u32", "u32", pa.uint32()), ("i32", "i32", pa.int32()), ("i64", "i64", pa.int64()), ("asc", "asc", pa.int64()),
    ("f32", "f", pa.float32()), ("f64", "f", pa.float64()), ("ms", "ms", pa.timestamp("ms", "UTC")),
    ("us", "us", pa.timestamp("us")), ("ns", "ns", pa.timestamp("ns")), ("day", "day", pa.date32()),
    ("d9", "d9", pa.decimal128(9, 2)), ("d18", "d18", pa.decimal128(18, 6)), ("bin", "bin", pa.binary()),
    ("fix", "fix", pa.binary(5)),
]
UNIT = {"ms": 10**6, "us": 10**3, "ns": 1, "day": 86400 * 10**9}


def text(kind, v):
    if v is None: return "NULL"
    if kind == "bool": return str(int(v))
    if kind in UNIT: return str(v * UNIT[kind])
    if kind == "d9": return str(int(v.scaleb(2)))
    if kind == "d18": return str(int(v.scaleb(6)))
    if kind == "f": return repr(v).removesuffix(".0")
    if kind in ("few", "many"): return json.dumps(v, ensure_ascii=False)
    if kind in ("bin", "fix"): return "x" + v.hex()
    return str(v)


def rows(names, kinds, values, to):
    with open(os.path.join(folder, to + ".txt"), "w") as f:
        print(*names, sep="\t", file=f)
        for i in range(len(values[0])):
            print(*[text(k, v[i]) for k, v in zip(kinds, values)], sep="\t", file=f)


def arrow(name, nullable=True, n=N, only=None, **how):
    fields, arrays, values, kinds = [], [], [], []
    for cname, kind, t in COLUMNS:
        if only and cname not in only: continue
        v = column(kind, n)
        if nullable: v = [maybe(x) for x in v]
        arrays.append(pa.array(v, pa.int64() if kind in UNIT and kind != "day" else pa.int32() if kind == "day" else t).cast(t))
        fields.append(pa.field(cname, t, nullable=nullable))
        values.append(v), kinds.append(kind)
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    pq.write_table(table, os.path.join(folder, name + ".parquet"), **how)
    rows([f.name for f in fields], kinds, values, name)


arrow("snappy-dictionary", compression="snappy", row_group_size=50)
arrow("zstd-plain-v2", compression="zstd", use_dictionary=False, data_page_version="2.0", data_page_size=512)
arrow("required-gzip", nullable=False, compression="gzip", use_dictionary=["few", "i8"], data_page_size=700, row_group_size=70)
arrow("lz4", compression="lz4", n=60, only=["few", "i64", "f64"])
arrow("brotli", compression="brotli", n=60, only=["few", "i64", "f64"])
arrow("none-checksums", compression="none", n=60, only=["few", "many", "i64"], write_page_checksum=True)
arrow("delta", compression="none", use_dictionary=False, data_page_size=900,
      only=["i32", "i64", "asc", "many", "few", "fix", "f64", "b"],
      column_encoding={"i32": "DELTA_BINARY_PACKED", "i64": "DELTA_BINARY_PACKED", "asc": "DELTA_BINARY_PACKED",
                       "many": "DELTA_LENGTH_BYTE_ARRAY", "few": "DELTA_BYTE_ARRAY", "fix": "DELTA_BYTE_ARRAY",
                       "f64": "BYTE_STREAM_SPLIT", "b": "RLE"})
arrow("int96", compression="snappy", n=60, only=["ns", "i32"], use_deprecated_int96_timestamps=True)
arrow("decimal-int", compression="zstd", n=60, only=["d9", "d18"], store_decimal_as_integer=True)
arrow("empty", n=0)

# Fields within fields, lists, and what velo does not read.
n = 50
inner = [{"city": maybe("c%d" % (i % 7)), "zip": maybe(i)} for i in range(n)]
outer = [maybe({"id": i, "home": maybe(h, 4)}, 6) for i, h in enumerate(inner)]
nested = pa.table({
    "n": pa.array(range(n), pa.int64()),
    "buyer": pa.array(outer, pa.struct([("id", pa.int64()), ("home", pa.struct([("city", pa.string()), ("zip", pa.int32())]))])),
    "tags": pa.array([["a", "b"][: i % 3] for i in range(n)], pa.list_(pa.string())),
    "m": pa.array([[("k", i)] for i in range(n)], pa.map_(pa.string(), pa.int64())),
    "at": pa.array([i for i in range(n)], pa.time64("us")),
    "huge": pa.array([DEC(i) for i in range(n)], pa.decimal128(38, 2)),
    "nothing": pa.nulls(n),
    "u64": pa.array([2**63 - 2 + i if i % 10 == 3 else i for i in range(n)], pa.uint64()),
})
pq.write_table(nested, os.path.join(folder, "nested.parquet"), compression="snappy")
home = lambda o, k: (o or {}).get("home") and o["home"][k]
rows(["n", "buyer.id", "buyer.home.city", "buyer.home.zip"], ["i64", "i64", "few", "i64"],
     [list(range(n)), [o and o["id"] for o in outer], [home(o, "city") for o in outer], [home(o, "zip") for o in outer]],
     "nested")

# DuckDB
db = duckdb.connect()
db.execute("""create table t as select i as n, (i * 1.5)::double as d, 'name ' || (i % 10) as s,
  case when i % 3 = 0 then null else i % 2 = 0 end as b, timestamp '2026-03-02 09:30:00' + interval (i) second as "at",
  date '2026-01-01' + i::int as day, (i * 7)::decimal(12,3) as dec, uuid '00112233-4455-6677-8899-aabbccddeeff' as id
  from range(90) r(i)""")
db.execute(f"copy t to '{folder}/duckdb.parquet' (format parquet, compression zstd, row_group_size 2048)")
t = list(zip(*db.execute('''select n, d::double, s, b, epoch_ns("at"), (day - date '1970-01-01')::bigint, dec, id::varchar from t''').fetchall()))
rows(["n", "d", "s", "b", "at", "day", "dec", "id"], ["i64", "f", "few", "bool", "ns", "day", "d3", "few"],
     [t[0], [float(x) for x in t[1]], t[2], t[3], t[4], t[5], [int(x.scaleb(3)) for x in t[6]], t[7]], "duckdb")
