package catalog

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Database is what the relations of the catalog are made of, as one session sees it.
type Database struct {
	// Heavy bounds how many statements that look at many rows run at the same time, by its
	// capacity; nil if nothing does.
	Heavy    chan struct{}
	Name     string // of the database
	Owner    string // the role that has everything
	User     string
	PID      int64
	Version  string // what version() says
	Started  time.Time
	Views    []View
	Users    []string                                  // roles besides Owner
	Setting  func(name string) (value string, ok bool) // current_setting
	Set      func(name, value string) error            // set_config; nil if it is not possible
	Settings func() (names, values []string)           // pg_settings
	oids     map[string]int64                          // of views, by name
	made     map[string][][]any                        // relations that have been built
	byOID    map[int64]*View
}

// A View is a relation of the schema public.
type View struct {
	Name     string
	Kind     byte // of pg_class.relkind: r, v, m
	Columns  []Column
	Key      []string // columns of its unique index; of a table, its primary key
	Nullable bool     // the key may have NULL
	Comment  string
	Text     func() string // the SELECT of a view; nil if it is not known
}

// A Column is a column of a relation.
type Column struct {
	Name    string
	Type    uint32
	Mod     int64
	NotNull bool
	fields  []Column // of a composite value
}

const (
	ownerOID    = 10
	firstOID    = 16384
	publicOID   = 2200
	catalogOID  = 11
	infoOID     = 13207
	databaseOID = 5
	pgClassOID  = 1259
	btreeOID    = 403
	heapOID     = 2
)

// A relation is one of the relations of relationsText.
type relation struct {
	name    string // with the schema
	oid     int64
	kind    byte
	columns []Column
}

var relations = sync.OnceValue(func() map[string]*relation {
	all := map[string]*relation{}
	for line := range strings.Lines(relationsText) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		r := &relation{name: f[0], oid: int64(number(f[1])), kind: f[2][0]}
		for c := range strings.SplitSeq(f[3], " ") {
			name, typ, _ := strings.Cut(c, ":")
			oid, ok := TypeOID(typ)
			if typ == "char" {
				oid, ok = oidChar, true
			}
			if !ok {
				oid = oidText
			}
			r.columns = append(r.columns, Column{Name: name, Type: oid, Mod: -1})
		}
		all[r.name] = r
	}
	return all
})

// Has says whether there is a relation of that name, with or without its schema.
func Has(name string) bool {
	if !strings.Contains(name, ".") {
		name = "pg_catalog." + name
	}
	return relations()[name] != nil
}

// prepareOIDs gives views their OIDs, which are the same in all sessions.
func (d *Database) prepareOIDs() {
	if d.oids != nil {
		return
	}
	d.oids, d.byOID, d.made = map[string]int64{}, map[int64]*View{}, map[string][][]any{}
	slices.SortFunc(d.Views, func(a, b View) int { return cmp.Compare(a.Name, b.Name) })
	taken := map[int64]bool{}
	give := func(name string) int64 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(name))
		oid := firstOID + int64(h.Sum32()%(1<<30))
		for taken[oid] {
			oid++
		}
		taken[oid] = true
		d.oids[name] = oid
		return oid
	}
	for i := range d.Views {
		d.byOID[give(d.Views[i].Name)] = &d.Views[i]
		if len(d.Views[i].Key) > 0 {
			give(d.Views[i].index())
		}
	}
	for _, u := range d.Users {
		give("role " + u)
	}
}

// index is the name of the index of a view's key, which PostgreSQL would give it.
func (v *View) index() string {
	if v.Kind == 'r' {
		return v.Name + "_pkey"
	}
	return v.Name + "_key"
}

// roles are the names and OIDs of the roles.
func (d *Database) roles() (names []string, oids []int64) {
	names, oids = []string{d.Owner}, []int64{ownerOID}
	for _, u := range d.Users {
		if u != d.Owner {
			names, oids = append(names, u), append(oids, d.oids["role "+u])
		}
	}
	return names, oids
}

// object finds an object by what regclass and its relatives take: a name, perhaps with a schema and
// quotes, or an OID.
func (d *Database) object(oid uint32, s string, pos int) (any, error) {
	d.prepareOIDs()
	if s == "-" {
		return int64(0), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return n, nil
	}
	if oid == oidRegtype {
		t, ok := TypeOID(strings.TrimPrefix(strings.ToLower(strings.Trim(s, `"`)), "pg_catalog."))
		if !ok {
			return nil, fault(codeUndefinedObj, pos, "type %q does not exist", s)
		}
		return int64(t), nil
	}
	parts := identifiers(s)
	name := parts[len(parts)-1]
	schema := ""
	if len(parts) > 1 {
		schema = parts[len(parts)-2]
	}
	switch oid {
	case oidRegproc:
		if o, ok := procs().byName[name]; ok {
			return o, nil
		}
		return nil, fault(codeUndefinedFunc, pos, "function %q does not exist", s)
	case oidRegrole:
		names, oids := d.roles()
		if i := slices.Index(names, name); i >= 0 {
			return oids[i], nil
		}
		return nil, fault(codeUndefinedObj, pos, "role %q does not exist", name)
	case oidRegnsp:
		if o, ok := schemaOID(name); ok {
			return o, nil
		}
		return nil, fault("3F000", pos, "schema %q does not exist", name)
	}
	if o, ok := d.relationOID(schema, name); ok {
		return o, nil
	}
	return nil, fault(codeUndefinedRel, pos, "relation %q does not exist", s)
}

func schemaOID(name string) (int64, bool) {
	switch name {
	case "pg_catalog":
		return catalogOID, true
	case "public":
		return publicOID, true
	case "information_schema":
		return infoOID, true
	case "pg_toast":
		return 99, true
	}
	return 0, false
}

func (d *Database) relationOID(schema, name string) (int64, bool) {
	if schema == "" || schema == "pg_catalog" || schema == "information_schema" {
		if r := relations()[cmp.Or(schema, "pg_catalog")+"."+name]; r != nil {
			return r.oid, true
		}
	}
	if schema == "" || schema == "public" {
		o, ok := d.oids[name]
		return o, ok
	}
	return 0, false
}

// identifiers splits a name at points, and takes its quotes away.
func identifiers(s string) (parts []string) {
	t, err := Tokens(s)
	if err != nil {
		return []string{s}
	}
	for _, t := range t {
		if t.Kind == Word || t.Kind == Quoted {
			parts = append(parts, t.Text)
		}
	}
	if len(parts) == 0 {
		return []string{s}
	}
	return parts
}

// objectName is the text of a regclass and its relatives.
func (d *Database) objectName(oid uint32, n int64) string {
	d.prepareOIDs()
	if n == 0 {
		return "-"
	}
	switch oid {
	case oidRegtype:
		if s := formatType(uint32(n), -1, false); s != "???" {
			return s
		}
	case oidRegproc:
		if name, ok := procs().byOID[n]; ok {
			return name
		}
	case oidRegrole:
		names, oids := d.roles()
		if i := slices.Index(oids, n); i >= 0 {
			return quoteName(names[i])
		}
	case oidRegnsp:
		for _, s := range []string{"pg_catalog", "public", "information_schema", "pg_toast"} {
			if o, _ := schemaOID(s); o == n {
				return s
			}
		}
	case oidRegclass:
		for name, o := range d.oids {
			if o == n && !strings.HasPrefix(name, "role ") {
				return quoteName(name)
			}
		}
		for _, r := range relations() {
			if r.oid == n {
				return strings.TrimPrefix(r.name, "pg_catalog.")
			}
		}
	}
	return strconv.FormatInt(n, 10)
}

// procs are the functions in pg_proc: those that read and write values of types.
var procs = sync.OnceValue(func() (p struct {
	byName map[string]int64
	byOID  map[int64]string
},
) {
	p.byName, p.byOID = map[string]int64{}, map[int64]string{}
	for _, r := range constantRows("pg_proc") {
		oid := int64(number(r[0]))
		p.byName[r[1]], p.byOID[oid] = oid, r[1]
	}
	return p
})

// quoteName is quote_ident: a name in quotes, if it needs them.
func quoteName(s string) string {
	plain := s != "" && !isDigit(s[0])
	for i := range len(s) {
		c := s[i]
		plain = plain && (c >= 'a' && c <= 'z' || c == '_' || isDigit(c))
	}
	if plain && !slices.Contains(reserved, s) {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}
