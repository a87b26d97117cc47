"""Reads views with asyncpg, and prints what it finds. Arguments: a URL, a view."""
import asyncio
import sys

import asyncpg


async def main(url, view):
    c = await asyncpg.connect(url)
    row = await c.fetchrow(f"SELECT symbol, n, avg_price, turnover FROM {view} WHERE symbol = $1", "S1")
    print(*row.values())
    print("parameters", await c.fetchval(
        f"SELECT count(*) FROM {view} WHERE n >= $1 AND avg_price < $2 AND hot = $3 AND last_at < now()", 1, 5.5, False))
    try:
        await c.fetch(f"SELECT nothing FROM {view}")
    except asyncpg.PostgresError as e:
        print("error", e.sqlstate)
    async with c.transaction():
        print("a cursor", len([r async for r in c.cursor(f"SELECT symbol FROM {view}", prefetch=3)]))
    print("catalog", await c.fetchval(f"SELECT '{view}'::regclass"), await c.fetchval("SELECT ARRAY['a', NULL]"))
    await c.reset()
    await c.close()


asyncio.run(main(sys.argv[1], sys.argv[2]))
