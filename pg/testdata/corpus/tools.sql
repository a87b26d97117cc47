-- Statements with what dashboards and reporting tools use (schema pickers, column pickers, samples), written for this test.

SELECT quote_ident(t.table_name) AS "table" FROM information_schema.tables t
WHERE t.table_type IN ('BASE TABLE', 'VIEW') AND quote_ident(t.table_schema) NOT IN ('information_schema', 'pg_catalog')
  AND t.table_name <> 'volumes'
  AND quote_ident(t.table_schema) IN (
    SELECT CASE WHEN trim(parts[n]) = '"$user"' THEN user ELSE trim(parts[n]) END
    FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1),
                         array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS n,
         string_to_array(current_setting('search_path'), ',') AS parts)
ORDER BY t.table_name
;

SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns
WHERE quote_ident(table_name) = 'rates' AND table_schema = 'public' ORDER BY ordinal_position
;

SELECT column_name, ordinal_position, is_nullable, data_type, udt_name, numeric_precision, numeric_scale, datetime_precision, character_octet_length
FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ('rates', 'recent') ORDER BY table_name, ordinal_position
;

SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, t.typname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm') AND a.attnum > 0 ORDER BY 1, a.attnum
;

SELECT (current_schemas(true))[1], (current_schemas(false))[1], current_catalog, current_schema, current_user
;

SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('TimeZone')
;

SELECT kcu.column_name, tc.constraint_type FROM information_schema.table_constraints tc
JOIN information_schema.key_column_usage kcu USING (constraint_name, table_schema, table_name)
WHERE tc.table_schema = 'public' AND tc.table_name = 'rates' AND tc.constraint_type = 'PRIMARY KEY'
;

SELECT table_schema, table_name, view_definition FROM information_schema.views WHERE table_schema = 'public' AND table_name <> 'volumes'
;

SELECT schema_name FROM information_schema.schemata WHERE schema_name !~ '^pg_(toast|temp)' ORDER BY 1
;

SELECT n.nspname, count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' GROUP BY n.nspname HAVING count(*) > 1
;

SELECT i.relname, ix.indisunique, ix.indisprimary, array_agg(a.attname ORDER BY a.attnum) AS names, string_agg(a.attname, ', ')
FROM pg_index ix JOIN pg_class i ON i.oid = ix.indexrelid JOIN pg_class t ON t.oid = ix.indrelid
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (ix.indkey)
WHERE t.relname IN ('rates', 'volumes') GROUP BY i.relname, ix.indisunique, ix.indisprimary ORDER BY 1
;

SELECT relname, row_number() OVER (PARTITION BY relkind ORDER BY relname DESC) AS n, count(*) OVER () AS of
FROM pg_class WHERE relname IN ('rates', 'recent', 'volumes') ORDER BY relname
;

SELECT v.x, v.y FROM (VALUES (1, 'a'), (2, NULL), (3, 'c')) AS v (x, y) WHERE v.y IS NOT NULL ORDER BY x DESC LIMIT 1 OFFSET 1
;

WITH kinds AS (SELECT DISTINCT relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace)
SELECT relkind, CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' ELSE 'other' END FROM kinds ORDER BY relkind
;

SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 2 EXCEPT SELECT 1 ORDER BY a
;

SELECT coalesce(NULL, 'x'), nullif(1, 1), greatest(1, 3, 2), least('b', 'a'), 7 % 4, 7 / 2, -7 / 2, 2.5 + 1, 'a' || 1, true AND NULL, NOT false
;

SELECT upper('aé'), length('aé'), substring('velocity' FROM 2 FOR 3), position('lo' IN 'velo'), left('velo', 2), right('velo', -1), split_part('a,b,c', ',', 2), replace('aaa', 'a', 'b')
;

SELECT ARRAY[1, 2, 3], (ARRAY[1, 2, 3])[2], array_length(ARRAY['a', 'b'], 1), 2 = ANY (ARRAY[1, 2]), 5 <> ALL ('{1,2}'::int[]), array_to_string(ARRAY['a', NULL, 'b'], ','), '{"a b",NULL,"c\"d"}'::text[]
;

SELECT 'volumes'::regclass, 'pg_class'::regclass::oid, 'int4'::regtype, 25::regtype, 'pg_catalog'::regnamespace, '{rates}'::oid::regclass
;

SELECT 'abc' LIKE 'a%', 'abc' LIKE 'A_c', 'abc' ILIKE 'A_c', 'abc' ~ '^a.c$', 'abc' !~* 'B', 'a' IN ('b', 'a'), 1 NOT IN (2, NULL), 3 BETWEEN 2 AND 4
;

SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'rates'), (SELECT count(*) FROM pg_class WHERE relname LIKE 'rates%'), ARRAY(SELECT relname FROM pg_class WHERE relname LIKE 'ra%s' ORDER BY 1)
;

SELECT a.relname, b.relname FROM pg_class a LEFT JOIN pg_class b ON b.relname = a.relname || '_pkey' WHERE a.relname IN ('rates', 'recent') ORDER BY 1
;

SELECT c.relname, k.n, k.x FROM pg_class c, pg_index i, LATERAL unnest(i.indkey) WITH ORDINALITY AS k(x, n) WHERE i.indrelid = c.oid AND c.relname = 'rates'
;

SELECT DISTINCT ON (relkind) relkind, relname FROM pg_class WHERE relname IN ('rates', 'rates_pkey', 'recent', 'volumes', 'volumes_key') ORDER BY relkind, relname DESC
;

SELECT pg_catalog.has_table_privilege('rates', 'SELECT'), has_schema_privilege('public', 'USAGE'), pg_table_is_visible('rates'::regclass), obj_description('volumes'::regclass, 'pg_class'), col_description('rates'::regclass, 1)
;

SELECT matviewname, ispopulated FROM pg_matviews
;

SELECT tablename, hasindexes FROM pg_tables WHERE schemaname = 'public'
;

SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1
;

SELECT sum(x), min(x), max(x), count(x), bool_and(x > 0), count(DISTINCT x % 2), count(*) FILTER (WHERE x > 2) FROM generate_series(1, 4) AS t(x)
;

SELECT nosuch FROM pg_class
;

SELECT * FROM nosuch
;

SELECT relname FROM pg_class WHERE oid = 'x'
;

SELECT nosuch(1)
;

SELECT 1 FROM pg_class a, pg_class a
;

SELECT relname = 1 FROM pg_class

;

SELECT t.typname, p.proname, t.typreceive, t.typinput = 'array_in'::regproc, e.typname
FROM pg_type t LEFT JOIN pg_proc p ON p.oid = t.typreceive LEFT JOIN pg_type e ON e.oid = t.typelem
WHERE t.typname IN ('int4', '_int4', 'text', '_text', 'int4range', 'timestamptz', 'record') ORDER BY 1
