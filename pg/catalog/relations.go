package catalog

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// rowsOf are the rows of a relation, made at the first use. Relations that nothing in velo fills,
// such as the relation of triggers, are empty.
func (d *Database) rowsOf(r *relation) [][]any {
	d.prepareOIDs()
	if rows, ok := d.made[r.name]; ok {
		return rows
	}
	b := &builder{relation: r, at: map[string]int{}}
	for i, c := range r.columns {
		b.at[c.Name] = i
	}
	fill := fillers[r.name]
	switch {
	case fill != nil:
		fill(d, b)
	default:
		d.constant(b)
	}
	d.made[r.name] = b.rows
	return b.rows
}

// A builder makes rows of a relation.
type builder struct {
	relation *relation
	at       map[string]int
	rows     [][]any
}

// add adds a row with these columns, names and values in turn. Of the others those that may be NULL
// in PostgreSQL's own rows are NULL, and numbers, booleans and texts are zero.
func (b *builder) add(pairs ...any) {
	row := make([]any, len(b.relation.columns))
	for i, c := range b.relation.columns {
		row[i] = zero(b.relation.name, c)
	}
	for i := 0; i < len(pairs); i += 2 {
		at, ok := b.at[pairs[i].(string)]
		if !ok {
			panic("catalog: " + b.relation.name + " has no column " + pairs[i].(string))
		}
		v := pairs[i+1]
		switch n := v.(type) {
		case int:
			v = int64(n)
		case byte:
			v = string(n)
		}
		row[at] = v
	}
	b.rows = append(b.rows, row)
}

func zero(relation string, c Column) any {
	if strings.HasPrefix(relation, "information_schema.") {
		return nil
	}
	switch {
	case c.Type == oidBool:
		return false
	case c.Type == oidChar, c.Type == oidName:
		return ""
	case isInteger(c.Type):
		return int64(0)
	case c.Type == oidFloat4, c.Type == oidFloat8:
		return float64(0)
	}
	return nil
}

// constant fills a relation from rowsText.
func (d *Database) constant(b *builder) {
	for _, fields := range constantRows(strings.TrimPrefix(b.relation.name, "pg_catalog.")) {
		row := make([]any, len(b.relation.columns))
		for i, f := range fields {
			if f == `\N` {
				continue
			}
			v, err := d.input(b.relation.columns[i].Type, f, -1)
			if err != nil {
				v = f
			}
			row[i] = v
		}
		b.rows = append(b.rows, row)
	}
}

var fillers map[string]func(*Database, *builder)

func init() {
	fillers = map[string]func(*Database, *builder){
		"pg_catalog.pg_namespace":   (*Database).namespaces,
		"pg_catalog.pg_class":       (*Database).classes,
		"pg_catalog.pg_attribute":   (*Database).attributes,
		"pg_catalog.pg_index":       (*Database).indexes,
		"pg_catalog.pg_constraint":  (*Database).constraints,
		"pg_catalog.pg_description": (*Database).descriptions,
		"pg_catalog.pg_database":    (*Database).databases,
		"pg_catalog.pg_roles":       (*Database).roleRows,
		"pg_catalog.pg_user":        (*Database).userRows,
		"pg_catalog.pg_settings":    (*Database).settingRows,
		"pg_catalog.pg_rewrite":     (*Database).rewrites,
		"pg_catalog.pg_tables":      (*Database).tableRows,
		"pg_catalog.pg_views":       (*Database).viewRows,
		"pg_catalog.pg_matviews":    (*Database).matviewRows,
		"pg_catalog.pg_indexes":     (*Database).indexRows,

		"pg_catalog.pg_stat_user_tables":   (*Database).statRows,
		"pg_catalog.pg_statio_user_tables": (*Database).statRows,
		"pg_catalog.pg_stat_all_tables":    (*Database).statRows,

		"information_schema.schemata":                        (*Database).schemata,
		"information_schema.tables":                          (*Database).infoTables,
		"information_schema.columns":                         (*Database).infoColumns,
		"information_schema.views":                           (*Database).infoViews,
		"information_schema.table_constraints":               (*Database).infoConstraints,
		"information_schema.key_column_usage":                (*Database).infoKeys,
		"information_schema.constraint_column_usage":         (*Database).infoUsage,
		"information_schema.table_privileges":                (*Database).infoPrivileges,
		"information_schema.role_table_grants":               (*Database).infoPrivileges,
		"information_schema.information_schema_catalog_name": (*Database).infoName,
		"information_schema.enabled_roles":                   (*Database).infoRoles,
	}
}

func (d *Database) namespaces(b *builder) {
	b.add("oid", catalogOID, "nspname", "pg_catalog", "nspowner", ownerOID, "nspacl", nil)
	b.add("oid", 99, "nspname", "pg_toast", "nspowner", ownerOID, "nspacl", nil)
	b.add("oid", publicOID, "nspname", "public", "nspowner", ownerOID, "nspacl", nil)
	b.add("oid", infoOID, "nspname", "information_schema", "nspowner", ownerOID, "nspacl", nil)
}

func (d *Database) classes(b *builder) {
	for _, r := range sortedRelations() {
		ns, kind := catalogOID, r.kind
		name, info := strings.CutPrefix(r.name, "information_schema.")
		if info {
			ns = infoOID
		}
		name = strings.TrimPrefix(name, "pg_catalog.")
		am := 0
		if kind == 'r' {
			am = heapOID
		}
		b.add("oid", r.oid, "relname", name, "relnamespace", ns, "relkind", kind, "relnatts", len(r.columns),
			"relowner", ownerOID, "relam", am, "relpersistence", "p", "relispopulated", true, "relreplident", "n",
			"relhasrules", kind == 'v', "reltuples", float64(-1))
	}
	for i := range d.Views {
		v := &d.Views[i]
		am, tuples := heapOID, float64(-1)
		replident := "d"
		if v.Kind == 'v' {
			am = 0
			replident = "n"
		}
		b.add("oid", d.oids[v.Name], "relname", v.Name, "relnamespace", publicOID, "relkind", v.Kind, "relnatts",
			len(v.Columns), "relowner", ownerOID, "relam", am, "relpersistence", "p", "relispopulated", true,
			"relreplident", replident, "relhasindex", len(v.Key) > 0, "relhasrules", v.Kind != 'r', "reltuples", tuples)
		if len(v.Key) > 0 {
			b.add("oid", d.oids[v.index()], "relname", v.index(), "relnamespace", publicOID, "relkind", "i", "relnatts",
				len(v.Key), "relowner", ownerOID, "relam", btreeOID, "relpersistence", "p", "relispopulated", true,
				"relreplident", "n", "reltuples", tuples)
		}
	}
}

func sortedRelations() []*relation {
	var all []*relation
	for _, r := range relations() {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *relation) int { return strings.Compare(a.name, b.name) })
	return all
}

func (d *Database) attributes(b *builder) {
	add := func(rel int64, columns []Column) {
		for i, c := range columns {
			storage, align := "p", "i"
			length, byValue := int64(-1), false
			if t := typeRow(c.Type); t != nil {
				length, byValue = int64(int32(number(t[4]))), t[5] == "t"
				align, storage = t[22], t[23]
				if strings.HasPrefix(t[4], "-") {
					n, _ := strconv.ParseInt(t[4], 10, 64)
					length = n
				}
			}
			collation := 0
			if TextLike(c.Type) && c.Type != oidChar {
				collation = 100
				if c.Type == oidName {
					collation = 950
				}
			}
			b.add(
				"attrelid",
				rel,
				"attname",
				c.Name,
				"atttypid",
				int64(c.Type),
				"attnum",
				i+1,
				"atttypmod",
				c.Mod,
				"attnotnull",
				c.NotNull,
				"attlen",
				length,
				"attbyval",
				byValue,
				"attstorage",
				storage,
				"attalign",
				align,
				"attislocal",
				true,
				"attcacheoff",
				-1,
				"attstattarget",
				-1,
				"attcollation",
				collation,
			)
		}
	}
	for _, r := range sortedRelations() {
		add(r.oid, r.columns)
	}
	for i := range d.Views {
		v := &d.Views[i]
		add(d.oids[v.Name], v.Columns)
		if len(v.Key) > 0 {
			var columns []Column
			for _, k := range v.Key {
				c := v.Columns[v.column(k)-1]
				c.NotNull = false
				columns = append(columns, c)
			}
			add(d.oids[v.index()], columns)
		}
	}
}

// typeRow is the row of pg_type of a type.
func typeRow(oid uint32) []string { return typeRows()[oid] }

var typeRows = sync.OnceValue(func() map[uint32][]string {
	m := map[uint32][]string{}
	for _, r := range constantRows("pg_type") {
		m[number(r[0])] = r
	}
	return m
})

// column is the number of a column, from 1; 0 if there is none of the name.
func (v *View) column(name string) int {
	return slices.IndexFunc(v.Columns, func(c Column) bool { return c.Name == name }) + 1
}

func (v *View) keyNumbers() []any {
	var all []any
	for _, k := range v.Key {
		all = append(all, int64(v.column(k)))
	}
	return all
}

func (d *Database) indexes(b *builder) {
	for i := range d.Views {
		v := &d.Views[i]
		if len(v.Key) == 0 {
			continue
		}
		n := len(v.Key)
		classes, options, collations := make([]any, n), make([]any, n), make([]any, n)
		for i, k := range v.Key {
			classes[i], options[i], collations[i] = classOf(v.Columns[v.column(k)-1].Type), int64(0), int64(0)
			if TextLike(v.Columns[v.column(k)-1].Type) {
				collations[i] = int64(100)
			}
		}
		b.add(
			"indexrelid",
			d.oids[v.index()],
			"indrelid",
			d.oids[v.Name],
			"indnatts",
			n,
			"indnkeyatts",
			n,
			"indisunique",
			true,
			"indisprimary",
			v.Kind == 'r',
			"indimmediate",
			true,
			"indisvalid",
			true,
			"indisready",
			true,
			"indislive",
			true,
			"indkey",
			v.keyNumbers(),
			"indclass",
			classes,
			"indoption",
			options,
			"indcollation",
			collations,
			"indnullsnotdistinct",
			v.Kind != 'r',
		)
	}
}

// classOf is the default operator class of B-trees for a type.
func classOf(oid uint32) int64 {
	switch oid {
	case oidBool:
		return 424
	case oidInt8:
		return 3124
	case oidFloat8:
		return 3123
	case oidNumeric:
		return 3125
	case oidTimestamptz:
		return 3127
	}
	return 3126
}

func (d *Database) constraints(b *builder) {
	for i := range d.Views {
		v := &d.Views[i]
		if v.Kind != 'r' || len(v.Key) == 0 {
			continue
		}
		b.add(
			"oid",
			d.oids[v.index()]+1<<30,
			"conname",
			v.index(),
			"connamespace",
			publicOID,
			"contype",
			"p",
			"convalidated",
			true,
			"conrelid",
			d.oids[v.Name],
			"conindid",
			d.oids[v.index()],
			"conislocal",
			true,
			"connoinherit",
			true,
			"conkey",
			v.keyNumbers(),
			"confupdtype",
			" ",
			"confdeltype",
			" ",
			"confmatchtype",
			" ",
		)
	}
}

func (d *Database) descriptions(b *builder) {
	for i := range d.Views {
		if v := &d.Views[i]; v.Comment != "" {
			b.add("objoid", d.oids[v.Name], "classoid", pgClassOID, "objsubid", 0, "description", v.Comment)
		}
	}
	b.add("objoid", publicOID, "classoid", 2615, "objsubid", 0, "description", "standard public schema")
}

func (d *Database) databases(b *builder) {
	b.add("oid", databaseOID, "datname", d.Name, "datdba", ownerOID, "encoding", 6, "datlocprovider", "c",
		"datallowconn", true, "datconnlimit", -1, "dattablespace", 1663, "datcollate", "C", "datctype", "C")
}

func (d *Database) roleRows(b *builder) {
	names, oids := d.roles()
	for i, name := range names {
		super := oids[i] == ownerOID
		b.add(
			"oid",
			oids[i],
			"rolname",
			name,
			"rolsuper",
			super,
			"rolinherit",
			true,
			"rolcreaterole",
			super,
			"rolcreatedb",
			super,
			"rolcanlogin",
			true,
			"rolreplication",
			super,
			"rolbypassrls",
			super,
			"rolconnlimit",
			-1,
			"rolpassword",
			"********",
		)
	}
}

func (d *Database) userRows(b *builder) {
	names, oids := d.roles()
	for i, name := range names {
		super := oids[i] == ownerOID
		b.add("usesysid", oids[i], "usename", name, "usesuper", super, "usecreatedb", super, "passwd", "********")
	}
}

func (d *Database) settingRows(b *builder) {
	if d.Settings == nil {
		return
	}
	names, values := d.Settings()
	for i, name := range names {
		b.add("name", name, "setting", values[i], "context", "user", "vartype", "string", "source", "default",
			"boot_val", values[i], "reset_val", values[i], "category", "velo", "short_desc", "")
	}
}

func (d *Database) rewrites(b *builder) {
	for i := range d.Views {
		if v := &d.Views[i]; v.Kind != 'r' {
			b.add("oid", d.oids[v.Name]+1<<30, "rulename", "_RETURN", "ev_class", d.oids[v.Name], "ev_type", "1",
				"ev_enabled", "O", "is_instead", true)
		}
	}
}

func (d *Database) tableRows(b *builder) {
	for _, r := range sortedRelations() {
		if name, ok := strings.CutPrefix(r.name, "pg_catalog."); ok && r.kind == 'r' {
			b.add("schemaname", "pg_catalog", "tablename", name, "tableowner", d.Owner, "hasindexes", false)
		}
	}
	for i := range d.Views {
		if v := &d.Views[i]; v.Kind == 'r' {
			b.add("schemaname", "public", "tablename", v.Name, "tableowner", d.Owner, "hasindexes", len(v.Key) > 0,
				"tablespace", nil)
		}
	}
}

func (d *Database) viewRows(b *builder) {
	for _, r := range sortedRelations() {
		if schema, name, _ := strings.Cut(r.name, "."); r.kind == 'v' {
			b.add("schemaname", schema, "viewname", name, "viewowner", d.Owner, "definition", "")
		}
	}
	for i := range d.Views {
		if v := &d.Views[i]; v.Kind == 'v' {
			b.add("schemaname", "public", "viewname", v.Name, "viewowner", d.Owner, "definition", v.definition())
		}
	}
}

func (d *Database) matviewRows(b *builder) {
	for i := range d.Views {
		if v := &d.Views[i]; v.Kind == 'm' {
			b.add("schemaname", "public", "matviewname", v.Name, "matviewowner", d.Owner, "hasindexes", len(v.Key) > 0,
				"ispopulated", true, "definition", v.definition(), "tablespace", nil)
		}
	}
}

// definition is the SELECT of a view with the semicolon that PostgreSQL writes.
func (v *View) definition() string {
	if v.Text == nil {
		return ""
	}
	return " " + strings.TrimSuffix(strings.TrimSpace(v.Text()), ";") + ";"
}

func (d *Database) indexRows(b *builder) {
	for i := range d.Views {
		if v := &d.Views[i]; len(v.Key) > 0 {
			b.add("schemaname", "public", "tablename", v.Name, "indexname", v.index(), "indexdef", v.indexText(true),
				"tablespace", nil)
		}
	}
}

// indexText is the statement that would make the index of a view.
func (v *View) indexText(qualified bool) string {
	names := make([]string, len(v.Key))
	for i, k := range v.Key {
		names[i] = quoteName(k)
	}
	on := quoteName(v.Name)
	if qualified {
		on = "public." + on
	}
	s := "CREATE UNIQUE INDEX " + quoteName(
		v.index(),
	) + " ON " + on + " USING btree (" + strings.Join(
		names,
		", ",
	) + ")"
	if v.Kind != 'r' {
		s += " NULLS NOT DISTINCT"
	}
	return s
}

func (d *Database) statRows(b *builder) {
	for i := range d.Views {
		if v := &d.Views[i]; v.Kind != 'v' {
			b.add("relid", d.oids[v.Name], "schemaname", "public", "relname", v.Name)
		}
	}
}
