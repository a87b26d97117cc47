package catalog

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fixed makes a function that always gives the same.
func fixed(typ uint32, least, most int, v any) function {
	return function{typ: typ, min: least, max: most, lax: true, f: func(*env, []any) (any, error) { return v, nil }}
}

// ofDB makes a function without arguments.
func ofDB(typ uint32, f func(d *Database) any) function {
	return function{typ: typ, f: func(e *env, _ []any) (any, error) { return f(e.run.db), nil }}
}

// ofText makes a function of one text.
func ofText(typ uint32, f func(s string) any) function {
	return function{typ: typ, min: 1, max: 1, f: func(_ *env, a []any) (any, error) {
		s, ok := a[0].(string)
		if !ok {
			return nil, fault(codeUndefinedFunc, -1, "this function takes text")
		}
		return f(s), nil
	}}
}

// ofTexts makes a function of several texts and numbers.
func ofTexts(typ uint32, least, most int, args []uint32, f func(s []string, n []int64) (any, error)) function {
	return function{typ: typ, min: least, max: most, args: args, f: func(_ *env, a []any) (any, error) {
		s, n := make([]string, len(a)), make([]int64, len(a))
		for i, v := range a {
			switch v := v.(type) {
			case string:
				s[i] = v
			case int64:
				n[i] = v
			default:
				return nil, fault(codeUndefinedFunc, -1, "no function of that name takes an argument of this type")
			}
		}
		return f(s, n)
	}}
}

// ofOID makes a function whose first argument is an OID.
func ofOID(typ uint32, most int, f func(d *Database, oid int64, rest []any) any) function {
	return function{
		typ: typ, min: 1, max: most, args: []uint32{oidOID, oidInt4, oidBool},
		f: func(e *env, a []any) (any, error) {
			n, ok := a[0].(int64)
			if !ok {
				return nil, fault(codeUndefinedFunc, -1, "this function takes an oid")
			}
			return f(e.run.db, n, a[1:]), nil
		},
	}
}

func ofFloat(f func(x float64) float64) function {
	return function{like: 0, args: []uint32{oidFloat8}, min: 1, max: 1, f: func(_ *env, a []any) (any, error) {
		n, ok := a[0].(int64)
		if ok {
			return int64(f(float64(n))), nil
		}
		return f(asFloat(a[0])), nil
	}}
}

var functions map[string]function

func init() {
	functions = map[string]function{}
	for _, group := range []map[string]function{
		sessionFunctions(), serverFunctions(), objectFunctions(), definitionFunctions(),
		sizeFunctions(), privilegeFunctions(), textFunctions(), pieceFunctions(),
		arrayFunctions(), listFunctions(), changeFunctions(), otherFunctions(),
	} {
		for name, f := range group {
			functions[name] = f
		}
	}
	for _, what := range []string{
		"table", "type", "function", "operator", "opclass", "opfamily", "collation", "conversion", "ts_parser",
		"ts_dict",
		"ts_template", "ts_config", "statistics_obj",
	} {
		functions["pg_"+what+"_is_visible"] = fixed(oidBool, 1, 1, true)
	}
	functions["pg_table_is_visible"] = ofOID(oidBool, 1, func(_ *Database, oid int64, _ []any) any {
		for _, r := range relations() {
			if r.oid == oid {
				return r.name[0] == 'p'
			}
		}
		return true
	})
}

func sessionFunctions() map[string]function {
	name := func(f func(d *Database) any) function { return ofDB(oidName, f) }
	user := name(func(d *Database) any { return d.User })
	now := ofDB(oidTimestamptz, func(*Database) any { return time.Now().UTC() })
	database := name(func(d *Database) any { return d.Name })
	schemas := function{
		typ:  oidNameArray,
		min:  1,
		max:  1,
		args: []uint32{oidBool},
		f: func(_ *env, a []any) (any, error) {
			if a[0] == true {
				return []any{"pg_catalog", "public"}, nil
			}
			return []any{"public"}, nil
		},
	}
	return map[string]function{
		"version":          ofDB(oidText, func(d *Database) any { return d.Version }),
		"current_database": database, "current_catalog": database,
		"current_schema":  name(func(*Database) any { return "public" }),
		"current_schemas": schemas,
		"current_user":    user, "session_user": user, "user": user, "current_role": user,
		"pg_backend_pid": ofDB(oidInt4, func(d *Database) any { return d.PID }),
		"now":            now, "current_timestamp": now, "transaction_timestamp": now, "statement_timestamp": now,
		"clock_timestamp": now, "localtimestamp": now,
		"current_date": ofDB(
			oidDate,
			func(*Database) any { return time.Now().UTC().Truncate(24 * time.Hour) },
		),
		"pg_postmaster_start_time": ofDB(oidTimestamptz, func(d *Database) any { return d.Started }),
		"pg_conf_load_time":        ofDB(oidTimestamptz, func(d *Database) any { return d.Started }),
		"current_setting": {
			typ:  oidText,
			min:  1,
			max:  2,
			args: []uint32{oidText, oidBool},
			f: func(e *env, a []any) (any, error) {
				s, _ := a[0].(string)
				if e.run.db.Setting != nil {
					v, ok := e.run.db.Setting(s)
					if ok {
						return v, nil
					}
				}
				if len(a) == 2 && a[1] == true {
					return nil, nil
				}
				return nil, fault(codeUndefinedObj, -1, "unrecognized configuration parameter %q", s)
			},
		},
		"set_config": {
			typ:  oidText,
			min:  3,
			max:  3,
			args: []uint32{oidText, oidText, oidBool},
			f: func(e *env, a []any) (any, error) {
				n, _ := a[0].(string)
				v, _ := a[1].(string)
				if e.run.db.Set == nil {
					return nil, fault(codeUnsupported, -1, "set_config is not supported here")
				}
				return v, e.run.db.Set(n, v)
			},
		},
	}
}

// serverFunctions say what kind of server this is: the same in all sessions.
func serverFunctions() map[string]function {
	return map[string]function{
		"getdatabaseencoding":           fixed(oidName, 0, 0, "UTF8"),
		"pg_is_in_recovery":             fixed(oidBool, 0, 0, false),
		"pg_is_wal_replay_paused":       fixed(oidBool, 0, 0, false),
		"txid_current":                  fixed(oidInt8, 0, 0, int64(1)),
		"pg_my_temp_schema":             fixed(oidOID, 0, 0, int64(0)),
		"pg_is_other_temp_schema":       fixed(oidBool, 1, 1, false),
		"inet_server_addr":              fixed(oidText, 0, 0, nil),
		"inet_server_port":              fixed(oidInt4, 0, 0, nil),
		"inet_client_addr":              fixed(oidText, 0, 0, nil),
		"inet_client_port":              fixed(oidInt4, 0, 0, nil),
		"pg_client_encoding":            fixed(oidName, 0, 0, "UTF8"),
		"pg_advisory_lock":              fixed(oidVoid, 1, 2, ""),
		"pg_advisory_unlock":            fixed(oidBool, 1, 2, true),
		"pg_try_advisory_lock":          fixed(oidBool, 1, 2, true),
		"pg_advisory_unlock_all":        fixed(oidVoid, 0, 0, ""),
		"pg_encoding_to_char":           fixed(oidName, 1, 1, "UTF8"),
		"pg_char_to_encoding":           fixed(oidInt4, 1, 1, int64(6)),
		"pg_sleep":                      {typ: oidVoid, min: 1, max: 1, args: []uint32{oidFloat8}, f: sleep},
		"pg_get_userbyid":               ofOID(oidName, 1, userByID),
		"pg_last_wal_receive_lsn":       fixed(oidText, 0, 0, nil),
		"pg_last_wal_replay_lsn":        fixed(oidText, 0, 0, nil),
		"pg_last_xact_replay_timestamp": fixed(oidTimestamptz, 0, 0, nil),
	}
}

// sleep waits, until the statement is cancelled. Clients test their timeouts with it.
func sleep(e *env, a []any) (any, error) {
	t := time.NewTimer(time.Duration(min(max(asFloat(a[0]), 0), 86400) * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return "", nil
	case <-e.run.ctx.Done():
		return nil, context.Cause(e.run.ctx)
	}
}

func userByID(d *Database, oid int64, _ []any) any {
	names, oids := d.roles()
	if i := slices.Index(oids, oid); i >= 0 {
		return names[i]
	}
	return fmt.Sprintf("unknown (OID=%d)", oid)
}

// viewOfIndex is the view that has an index.
func (d *Database) viewOfIndex(oid int64) *View {
	for i := range d.Views {
		if v := &d.Views[i]; len(v.Key) > 0 && d.oids[v.index()] == oid {
			return v
		}
	}
	return nil
}

func (d *Database) comment(oid int64) any {
	if v := d.byOID[oid]; v != nil && v.Comment != "" {
		return v.Comment
	}
	return nil
}

func objectFunctions() map[string]function {
	none := func(most int) function { return fixed(oidText, 1, most, nil) }
	return map[string]function{
		"format_type": {
			typ:  oidText,
			min:  2,
			max:  2,
			args: []uint32{oidOID, oidInt4},
			lax:  true,
			f: func(_ *env, a []any) (any, error) {
				oid, ok := a[0].(int64)
				if !ok {
					return nil, nil
				}
				mod, withMod := a[1].(int64)
				return formatType(uint32(oid), mod, withMod), nil
			},
		},
		"obj_description": {
			typ:  oidText,
			min:  1,
			max:  2,
			args: []uint32{oidOID, oidName},
			f: func(e *env, a []any) (any, error) {
				oid, _ := a[0].(int64)
				if len(a) == 2 && a[1] == "pg_namespace" && oid == publicOID {
					return "standard public schema", nil
				}
				if len(a) == 2 && a[1] != "pg_class" {
					return nil, nil
				}
				return e.run.db.comment(oid), nil
			},
		},
		"shobj_description": none(2), "pg_describe_object": none(3),
		"col_description": none(2),
		"pg_get_expr":     none(3),
		"pg_get_viewdef": {
			typ:  oidText,
			min:  1,
			max:  2,
			args: []uint32{oidOID, oidBool},
			f: func(e *env, a []any) (any, error) {
				oid, ok := a[0].(int64)
				if s, isText := a[0].(string); isText {
					x, err := e.run.db.object(oidRegclass, s, -1)
					if err != nil {
						return nil, err
					}
					oid, ok = x.(int64)
				}
				if v := e.run.db.byOID[oid]; ok && v != nil && v.Kind != 'r' {
					return v.definition(), nil
				}
				return nil, nil
			},
		},
		"pg_get_indexdef": ofOID(oidText, 3, func(d *Database, oid int64, rest []any) any {
			v := d.viewOfIndex(oid)
			if v == nil {
				return nil
			}
			n := int64(0)
			if len(rest) > 0 {
				n, _ = rest[0].(int64)
			}
			switch {
			case n > int64(len(v.Key)):
				return ""
			case n > 0:
				return quoteName(v.Key[n-1])
			}
			pretty := len(rest) == 2 && rest[1] == true
			return v.indexText(!pretty)
		}),
	}
}

func definitionFunctions() map[string]function {
	return map[string]function{
		"pg_get_constraintdef": ofOID(oidText, 2, func(d *Database, oid int64, _ []any) any {
			v := d.viewOfIndex(oid - 1<<30)
			if v == nil {
				return nil
			}
			names := make([]string, len(v.Key))
			for i, k := range v.Key {
				names[i] = quoteName(k)
			}
			return "PRIMARY KEY (" + strings.Join(names, ", ") + ")"
		}),
	}
}

func sizeFunctions() map[string]function {
	zero := fixed(oidInt8, 1, 2, int64(0))
	none := func(most int) function { return fixed(oidText, 1, most, nil) }
	return map[string]function{
		"pg_get_ruledef": none(2), "pg_get_triggerdef": none(2), "pg_get_functiondef": none(1),
		"pg_get_function_arguments": none(1), "pg_get_function_identity_arguments": none(1),
		"pg_get_function_result": none(1), "pg_get_partkeydef": none(1), "pg_get_partition_constraintdef": none(1),
		"pg_get_statisticsobjdef": none(
			1,
		), "pg_get_statisticsobjdef_columns": none(1), "pg_get_serial_sequence": none(2),
		"pg_get_function_sqlbody":    none(1),
		"pg_relation_is_publishable": fixed(oidBool, 1, 1, false),
		"pg_tablespace_location":     fixed(oidText, 1, 1, ""),
		"pg_table_size":              zero, "pg_relation_size": zero, "pg_total_relation_size": zero,
		"pg_indexes_size":  zero,
		"pg_database_size": zero, "pg_tablespace_size": zero, "pg_relation_filenode": zero,
		"pg_stat_get_numscans": zero, "pg_stat_get_live_tuples": zero, "pg_stat_get_dead_tuples": zero,
		"pg_size_pretty": {
			typ:  oidText,
			min:  1,
			max:  1,
			args: []uint32{oidInt8},
			f: func(_ *env, a []any) (any, error) {
				return fmt.Sprintf("%v bytes", a[0]), nil
			},
		},
		"to_regclass": toReg(oidRegclass), "to_regtype": toReg(oidRegtype), "to_regnamespace": toReg(oidRegnsp),
		"to_regrole":               toReg(oidRegrole),
		"_pg_truetypid":            fixed(oidOID, 2, 2, nil),
		"pg_relation_is_updatable": fixed(oidInt4, 2, 2, int64(0)),
		"pg_column_is_updatable":   fixed(oidBool, 3, 3, false),
		"pg_identify_object":       none(3),
		"oidvectortypes":           fixed(oidText, 1, 1, ""),
	}
}

// toReg makes a function that finds an object by its name; NULL if there is none.
func toReg(oid uint32) function {
	return function{typ: oid, min: 1, max: 1, f: func(e *env, a []any) (any, error) {
		s, _ := a[0].(string)
		v, err := e.run.db.object(oid, s, -1)
		if err != nil {
			return nil, nil
		}
		return v, nil
	}}
}

// privilegeFunctions say that what can be read may be read, and that nothing else may be done.
func privilegeFunctions() map[string]function {
	all := map[string]function{}
	for _, what := range []string{
		"table", "schema", "database", "column", "any_column", "function", "sequence", "type", "language", "tablespace",
		"foreign_data_wrapper", "server",
	} {
		all["has_"+what+"_privilege"] = function{typ: oidBool, min: 2, max: 4, f: func(_ *env, a []any) (any, error) {
			s, _ := a[len(a)-1].(string)
			for p := range strings.SplitSeq(strings.ToLower(s), ",") {
				p, _, _ = strings.Cut(strings.TrimSpace(p), " ")
				if slices.Contains([]string{"select", "usage", "connect", "execute"}, p) {
					return true, nil
				}
			}
			return false, nil
		}}
	}
	all["pg_has_role"] = function{
		typ:  oidBool,
		min:  2,
		max:  3,
		args: []uint32{oidText},
		f: func(e *env, a []any) (any, error) {
			of := a[len(a)-2]
			d := e.run.db
			names, oids := d.roles()
			if n, ok := of.(int64); ok {
				if i := slices.Index(oids, n); i >= 0 {
					of = names[i]
				}
			}
			return of == d.User || d.User == d.Owner, nil
		},
	}
	all["row_security_active"] = fixed(oidBool, 1, 1, false)
	return all
}

func otherFunctions() map[string]function {
	return map[string]function{
		"abs":   ofFloat(math.Abs),
		"floor": ofFloat(math.Floor),
		"ceil":  ofFloat(math.Ceil), "ceiling": ofFloat(math.Ceil),
		"trunc": ofFloat(math.Trunc),
		"round": {like: 0, args: []uint32{oidFloat8, oidInt4}, min: 1, max: 2, f: func(_ *env, a []any) (any, error) {
			if n, ok := a[0].(int64); ok {
				return n, nil
			}
			p := 1.0
			if len(a) == 2 {
				p = math.Pow(10, asFloat(a[1]))
			}
			return math.Round(asFloat(a[0])*p) / p, nil
		}},
		"mod": {like: 0, args: []uint32{oidInt8}, min: 2, max: 2, f: func(_ *env, a []any) (any, error) {
			x, ok := a[0].(int64)
			y, ok2 := a[1].(int64)
			if !ok || !ok2 {
				return floatResult("%", asFloat(a[0]), asFloat(a[1]), -1)
			}
			return wholeResult("%", x, y, -1)
		}},
		"random": {typ: oidFloat8, f: func(*env, []any) (any, error) {
			return float64(time.Now().UnixNano()%1_000_000_007) / 1_000_000_007, nil
		}},
		"date_part": {
			typ:  oidFloat8,
			min:  2,
			max:  2,
			args: []uint32{oidText, oidTimestamptz},
			f: func(_ *env, a []any) (any, error) {
				s, _ := a[0].(string)
				t, ok := a[1].(time.Time)
				if !ok {
					return nil, fault(codeUndefinedFunc, -1, "date_part takes a time")
				}
				return datePart(s, t)
			},
		},
		"timezone": {
			typ:  oidTimestamp,
			min:  2,
			max:  2,
			args: []uint32{oidText, oidTimestamptz},
			f: func(_ *env, a []any) (any, error) {
				s, _ := a[0].(string)
				t, ok := a[1].(time.Time)
				zone, err := time.LoadLocation(s)
				if err != nil || !ok {
					return nil, fault(codeBadValue, -1, "time zone %q not recognized", s)
				}
				l := t.In(zone)
				return time.Date(
					l.Year(),
					l.Month(),
					l.Day(),
					l.Hour(),
					l.Minute(),
					l.Second(),
					l.Nanosecond(),
					time.UTC,
				), nil
			},
		},
		"json_build_object": {typ: 114, max: -1, lax: true, f: jsonObject},
		"pg_typeof": {typ: oidRegtype, min: 1, max: 1, f: func(_ *env, a []any) (any, error) {
			return int64(typeOfValue(a[0])), nil
		}},
		"to_hex": ofTexts(oidText, 1, 1, []uint32{oidInt8}, func(_ []string, n []int64) (any, error) {
			return strconv.FormatUint(uint64(n[0]), 16), nil
		}),
	}
}

func datePart(part string, t time.Time) (any, error) {
	switch strings.ToLower(part) {
	case "epoch":
		return float64(t.UnixMicro()) / 1e6, nil
	case "year":
		return float64(t.Year()), nil
	case "month":
		return float64(t.Month()), nil
	case "day":
		return float64(t.Day()), nil
	case "hour":
		return float64(t.Hour()), nil
	case "minute":
		return float64(t.Minute()), nil
	case "second":
		return float64(t.Second()) + float64(t.Nanosecond()/1000)/1e6, nil
	case "dow":
		return float64(t.Weekday()), nil
	}
	return nil, fault(codeBadValue, -1, "unit %q is not supported here", part)
}
