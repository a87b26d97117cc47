package catalog

// The relations of information_schema. They have the views of the schema public, of every kind:
// PostgreSQL leaves materialized views out, but tools that only read information_schema, such as
// Grafana, would then find nothing to read.

func (d *Database) schemata(b *builder) {
	for _, s := range []string{"information_schema", "pg_catalog", "pg_toast", "public"} {
		b.add("catalog_name", d.Name, "schema_name", s, "schema_owner", d.Owner)
	}
}

// infoType is table_type of a kind of relation.
func infoType(kind byte) string {
	if kind == 'r' {
		return "BASE TABLE"
	}
	return "VIEW"
}

// each calls f for all relations, also of the system.
func (d *Database) each(f func(schema, name string, kind byte, columns []Column)) {
	for _, r := range sortedRelations() {
		schema := "pg_catalog"
		name := r.name[len(schema)+1:]
		if r.name[0] == 'i' {
			schema = "information_schema"
			name = r.name[len(schema)+1:]
		}
		f(schema, name, r.kind, r.columns)
	}
	for i := range d.Views {
		f("public", d.Views[i].Name, d.Views[i].Kind, d.Views[i].Columns)
	}
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

func (d *Database) infoTables(b *builder) {
	d.each(func(schema, name string, kind byte, _ []Column) {
		b.add("table_catalog", d.Name, "table_schema", schema, "table_name", name, "table_type", infoType(kind),
			"is_insertable_into", yes(kind == 'r'), "is_typed", "NO")
	})
}

func (d *Database) infoColumns(b *builder) {
	d.each(func(schema, name string, kind byte, columns []Column) {
		for i, c := range columns {
			b.add("table_catalog", d.Name, "table_schema", schema, "table_name", name, "column_name", c.Name,
				"ordinal_position", i+1, "is_nullable", yes(!c.NotNull), "data_type", dataType(c.Type),
				"udt_catalog", d.Name, "udt_schema", "pg_catalog", "udt_name", udtName(c.Type),
				"dtd_identifier", string(d.Text(int64(i+1), oidInt4)), "is_self_referencing", "NO", "is_identity", "NO",
				"identity_cycle", "NO", "is_generated", "NEVER", "is_updatable", yes(kind == 'r'))
			row := b.rows[len(b.rows)-1]
			switch c.Type {
			case oidInt8, oidInt4, oidInt2:
				bits := map[uint32]int64{oidInt8: 64, oidInt4: 32, oidInt2: 16}[c.Type]
				b.set(row, "numeric_precision", bits, "numeric_precision_radix", int64(2), "numeric_scale", int64(0))
			case oidFloat8:
				b.set(row, "numeric_precision", int64(53), "numeric_precision_radix", int64(2))
			case oidFloat4:
				b.set(row, "numeric_precision", int64(24), "numeric_precision_radix", int64(2))
			case oidNumeric:
				b.set(row, "numeric_precision_radix", int64(10))
				if c.Mod >= 4 {
					b.set(row, "numeric_precision", (c.Mod-4)>>16, "numeric_scale", (c.Mod-4)&0x7ff)
				}
			case oidTimestamptz, oidTimestamp:
				b.set(row, "datetime_precision", int64(6))
			case oidDate:
				b.set(row, "datetime_precision", int64(0))
			case oidText, oidVarchar:
				b.set(row, "character_octet_length", int64(1<<30))
			}
		}
	})
}

// set sets columns of a row.
func (b *builder) set(row []any, pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		row[b.at[pairs[i].(string)]] = pairs[i+1]
	}
}

// dataType is the name of a type in information_schema.
func dataType(oid uint32) string {
	if isArray(oid) && oid != oidInt2Vector && oid != oidOIDVector {
		return "ARRAY"
	}
	return formatType(oid, -1, false)
}

func udtName(oid uint32) string {
	if t := types().byOID[oid]; t != nil {
		return t.name
	}
	return "text"
}

func (d *Database) infoViews(b *builder) {
	d.each(func(schema, name string, kind byte, _ []Column) {
		if kind == 'r' {
			return
		}
		var text any
		for i := range d.Views {
			if schema == "public" && d.Views[i].Name == name {
				text = d.Views[i].definition()
			}
		}
		b.add("table_catalog", d.Name, "table_schema", schema, "table_name", name, "view_definition", text,
			"check_option", "NONE", "is_updatable", "NO", "is_insertable_into", "NO", "is_trigger_updatable", "NO",
			"is_trigger_deletable", "NO", "is_trigger_insertable_into", "NO")
	})
}

// tables calls f for the tables, which have primary keys.
func (d *Database) tables(f func(v *View)) {
	for i := range d.Views {
		if v := &d.Views[i]; v.Kind == 'r' && len(v.Key) > 0 {
			f(v)
		}
	}
}

func (d *Database) infoConstraints(b *builder) {
	d.tables(func(v *View) {
		b.add("constraint_catalog", d.Name, "constraint_schema", "public", "constraint_name", v.index(),
			"table_catalog", d.Name, "table_schema", "public", "table_name", v.Name, "constraint_type", "PRIMARY KEY",
			"is_deferrable", "NO", "initially_deferred", "NO", "enforced", "YES")
	})
}

func (d *Database) infoKeys(b *builder) {
	d.tables(func(v *View) {
		for i, k := range v.Key {
			b.add("constraint_catalog", d.Name, "constraint_schema", "public", "constraint_name", v.index(),
				"table_catalog", d.Name, "table_schema", "public", "table_name", v.Name, "column_name", k,
				"ordinal_position", i+1)
		}
	})
}

func (d *Database) infoUsage(b *builder) {
	d.tables(func(v *View) {
		for _, k := range v.Key {
			b.add("table_catalog", d.Name, "table_schema", "public", "table_name", v.Name, "column_name", k,
				"constraint_catalog", d.Name, "constraint_schema", "public", "constraint_name", v.index())
		}
	})
}

func (d *Database) infoPrivileges(b *builder) {
	names, _ := d.roles()
	for i := range d.Views {
		for _, to := range names {
			b.add(
				"grantor",
				d.Owner,
				"grantee",
				to,
				"table_catalog",
				d.Name,
				"table_schema",
				"public",
				"table_name",
				d.Views[i].Name,
				"privilege_type",
				"SELECT",
				"is_grantable",
				"NO",
				"with_hierarchy",
				"YES",
			)
		}
	}
}

func (d *Database) infoName(b *builder) { b.add("catalog_name", d.Name) }

func (d *Database) infoRoles(b *builder) {
	names, _ := d.roles()
	for _, n := range names {
		b.add("role_name", n)
	}
}
