package catalog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func textFunctions() map[string]function {
	length := ofText(oidInt4, func(s string) any { return int64(len([]rune(s))) })
	substring := ofTexts(oidText, 2, 3, []uint32{oidText, oidInt4}, func(s []string, n []int64) (any, error) {
		r := []rune(s[0])
		from := n[1]
		to := int64(len(r)) + 1
		if len(n) == 3 {
			if n[2] < 0 {
				return nil, fault("22011", -1, "negative substring length not allowed")
			}
			if n[2] < to {
				to = min(to, from+n[2])
			}
		}
		from = max(from, 1)
		if from >= to {
			return "", nil
		}
		return string(r[from-1 : to-1]), nil
	})
	trim := func(f func(s, chars string) string) function {
		return ofTexts(oidText, 1, 2, nil, func(s []string, _ []int64) (any, error) {
			chars := " "
			if len(s) == 2 {
				chars = s[1]
			}
			return f(s[0], chars), nil
		})
	}
	side := func(left bool) function {
		return ofTexts(oidText, 2, 2, []uint32{oidText, oidInt4}, func(s []string, n []int64) (any, error) {
			r := []rune(s[0])
			size := int64(len(r))
			k := n[1]
			if k < 0 {
				k = max(size+k, 0)
			}
			k = min(k, size)
			if left {
				return string(r[:k]), nil
			}
			return string(r[size-k:]), nil
		})
	}
	return map[string]function{
		"lower": ofText(oidText, func(s string) any { return lower(s) }),
		"upper": ofText(oidText, func(s string) any { return upperASCII(s) }),
		"like_escape": ofTexts(oidText, 2, 2, nil, func(s []string, _ []int64) (any, error) {
			return likeEscape(s[0], s[1])
		}),
		"format": {typ: oidText, min: 1, max: -1, lax: true, f: format},
		"length": length, "char_length": length, "character_length": length,
		"octet_length":  ofText(oidInt4, func(s string) any { return int64(len(s)) }),
		"quote_ident":   ofText(oidText, func(s string) any { return quoteName(s) }),
		"quote_literal": ofText(oidText, func(s string) any { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }),
		"substring":     substring, "substr": substring,
		"btrim": trim(strings.Trim), "ltrim": trim(strings.TrimLeft), "rtrim": trim(strings.TrimRight),
		"left": side(true), "right": side(false),
		"replace": ofTexts(oidText, 3, 3, nil, func(s []string, _ []int64) (any, error) {
			if s[1] == "" {
				return s[0], nil
			}
			err := fits(len(s[0]) + strings.Count(s[0], s[1])*len(s[2]))
			if err != nil {
				return nil, err
			}
			return strings.ReplaceAll(s[0], s[1], s[2]), nil
		}),
	}
}

func pieceFunctions() map[string]function {
	return map[string]function{
		"strpos": ofTexts(oidInt4, 2, 2, nil, func(s []string, _ []int64) (any, error) {
			i := strings.Index(s[0], s[1])
			if i < 0 {
				return int64(0), nil
			}
			return int64(len([]rune(s[0][:i])) + 1), nil
		}),
		"split_part": ofTexts(
			oidText,
			3,
			3,
			[]uint32{oidText, oidText, oidInt4},
			func(s []string, n []int64) (any, error) {
				parts := strings.Split(s[0], s[1])
				if n[2] < 1 || n[2] > int64(len(parts)) {
					return "", nil
				}
				return parts[n[2]-1], nil
			},
		),
		"starts_with": ofTexts(oidBool, 2, 2, nil, func(s []string, _ []int64) (any, error) {
			return strings.HasPrefix(s[0], s[1]), nil
		}),
		"repeat": ofTexts(oidText, 2, 2, []uint32{oidText, oidInt4}, func(s []string, n []int64) (any, error) {
			if n[1] > maxText || n[1] > 0 && int64(len(s[0]))*n[1] > maxText {
				return nil, fits(maxText + 1)
			}
			return strings.Repeat(s[0], int(max(n[1], 0))), nil
		}),
		"regexp_replace": ofTexts(oidText, 3, 4, nil, func(s []string, _ []int64) (any, error) {
			re, err := regexpOf(len(s) == 4 && strings.Contains(s[3], "i"))(s[1])
			if err != nil {
				return nil, fault(codeBadRegexp, -1, "invalid regular expression: %v", err)
			}
			with := regexp.MustCompile(`\\(\d)`).ReplaceAllString(strings.ReplaceAll(s[2], "$", "$$"), "$${$1}")
			if len(s) == 4 && strings.Contains(s[3], "g") {
				err = fits((len(s[0]) + 1) * (len(with) + 1))
				if err != nil {
					return nil, err
				}
				return re.ReplaceAllString(s[0], with), nil
			}
			m := re.FindStringSubmatchIndex(s[0])
			if m == nil {
				return s[0], nil
			}
			return s[0][:m[0]] + string(re.ExpandString(nil, with, s[0], m)) + s[0][m[1]:], nil
		}),
		"concat": {
			typ: oidText,
			max: -1,
			lax: true,
			f:   func(e *env, a []any) (any, error) { return joinTexts(e, a, "") },
		},
		"concat_ws": {typ: oidText, min: 1, max: -1, lax: true, f: func(e *env, a []any) (any, error) {
			sep, ok := a[0].(string)
			if !ok {
				return nil, nil
			}
			return joinTexts(e, a[1:], sep)
		}},
		"quote_nullable": {typ: oidText, min: 1, max: 1, lax: true, f: func(e *env, a []any) (any, error) {
			if a[0] == nil {
				return "NULL", nil
			}
			return "'" + strings.ReplaceAll(e.run.db.Text(a[0], typeOfValue(a[0])), "'", "''") + "'", nil
		}},
	}
}

// upperASCII is upper in the collation C.
func upperASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

// likeEscape gives a pattern of LIKE the backslash as its escape.
func likeEscape(pattern, escape string) (any, error) {
	if len([]rune(escape)) > 1 {
		return nil, fault("22025", -1, "invalid escape string")
	}
	var b strings.Builder
	escaped := false
	for _, r := range pattern {
		switch {
		case !escaped && string(r) == escape:
			escaped = true
			b.WriteByte('\\')
			continue
		case !escaped && r == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteRune(r)
		}
		escaped = false
	}
	return b.String(), nil
}

// jsonObject is json_build_object: names and values in turn.
func jsonObject(e *env, a []any) (any, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i := 0; i+1 < len(a); i += 2 {
		name, ok := a[i].(string)
		if !ok {
			return nil, fault(codeBadValue, -1, "argument %d of json_build_object is no text", i+1)
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s : %s", jsonText(name), jsonValue(e, a[i+1]))
	}
	b.WriteByte('}')
	return b.String(), nil
}

func jsonText(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func jsonValue(e *env, v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool, int64, float64:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = jsonValue(e, x)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return jsonText(e.run.db.Text(v, typeOfValue(v)))
}

// format is format(text, ...) with %s, %I and %L.
func format(e *env, a []any) (any, error) {
	text, ok := a[0].(string)
	if !ok {
		return nil, nil
	}
	var b strings.Builder
	n := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if text[i] == '%' {
			b.WriteByte('%')
			continue
		}
		n++
		if n >= len(a) || strings.IndexByte("sIL", text[i]) < 0 {
			return nil, fault(codeBadValue, -1, "format() takes %%s, %%I and %%L here, with an argument for each")
		}
		s := ""
		if a[n] != nil {
			s = e.run.db.Text(a[n], typeOfValue(a[n]))
		}
		switch {
		case text[i] == 'I':
			s = quoteName(s)
		case text[i] == 'L' && a[n] == nil:
			s = "NULL"
		case text[i] == 'L':
			s = "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
		b.WriteString(s)
		err := fits(b.Len())
		if err != nil {
			return nil, err
		}
	}
	return b.String(), nil
}

func joinTexts(e *env, a []any, sep string) (any, error) {
	var parts []string
	size := 0
	for _, v := range a {
		if v == nil {
			continue
		}
		parts = append(parts, e.run.db.Text(v, typeOfValue(v)))
		size += len(parts[len(parts)-1]) + len(sep)
		err := fits(size)
		if err != nil {
			return nil, err
		}
	}
	return strings.Join(parts, sep), nil
}

func arrayFunctions() map[string]function {
	size := function{
		typ:  oidInt4,
		min:  1,
		max:  2,
		args: []uint32{oidTextArray, oidInt4},
		f: func(_ *env, a []any) (any, error) {
			all, _ := a[0].([]any)
			if len(all) == 0 || len(a) == 2 && a[1] != int64(1) {
				return nil, nil
			}
			return int64(len(all)), nil
		},
	}
	return map[string]function{
		"array_length": size,
		"array_upper":  size,
		"array_lower": {
			typ:  oidInt4,
			min:  2,
			max:  2,
			args: []uint32{oidTextArray, oidInt4},
			f: func(_ *env, a []any) (any, error) {
				all, _ := a[0].([]any)
				if len(all) == 0 || a[1] != int64(1) {
					return nil, nil
				}
				return int64(1), nil
			},
		},
		"cardinality": {
			typ:  oidInt4,
			min:  1,
			max:  1,
			args: []uint32{oidTextArray},
			f: func(_ *env, a []any) (any, error) {
				all, _ := a[0].([]any)
				return int64(len(all)), nil
			},
		},
		"array_ndims": {
			typ:  oidInt4,
			min:  1,
			max:  1,
			args: []uint32{oidTextArray},
			f: func(_ *env, a []any) (any, error) {
				if all, _ := a[0].([]any); len(all) > 0 {
					return int64(1), nil
				}
				return nil, nil
			},
		},
		"array_to_string": {
			typ: oidText, min: 2, max: 3, args: []uint32{oidTextArray, oidText},
			f: func(e *env, a []any) (any, error) {
				all, _ := a[0].([]any)
				sep, _ := a[1].(string)
				if len(a) == 3 {
					all = slices.Clone(all)
					for i, v := range all {
						if v == nil {
							all[i] = a[2]
						}
					}
				}
				return joinTexts(e, all, sep)
			},
		},
	}
}

func listFunctions() map[string]function {
	return map[string]function{
		"parse_ident": {
			typ: oidTextArray, min: 1, max: 2, args: []uint32{oidText, oidBool},
			f: func(_ *env, a []any) (any, error) {
				s, ok := a[0].(string)
				if !ok {
					return nil, fault(codeUndefinedFunc, -1, "this function takes text")
				}
				parts, err := parseIdent(s, len(a) < 2 || a[1] == true)
				if err != nil {
					return nil, err
				}
				return parts, nil
			},
		},
		"string_to_array": {typ: oidTextArray, min: 2, max: 3, lax: true, f: func(_ *env, a []any) (any, error) {
			s, ok := a[0].(string)
			if !ok {
				return nil, nil
			}
			if s == "" {
				return []any{}, nil
			}
			sep, ok := a[1].(string)
			var all []any
			switch {
			case !ok:
				for _, r := range s {
					all = append(all, string(r))
				}
				return all, nil
			case sep == "":
				return []any{s}, nil
			}
			for p := range strings.SplitSeq(s, sep) {
				if len(a) == 3 && a[2] == p {
					all = append(all, nil)
					continue
				}
				all = append(all, p)
			}
			return all, nil
		}},
		"array_position": {
			typ:  oidInt4,
			min:  2,
			max:  2,
			args: []uint32{oidTextArray, oidText},
			f: func(_ *env, a []any) (any, error) {
				all, _ := a[0].([]any)
				for i, v := range all {
					if v != nil && order(v, a[1]) == 0 {
						return int64(i + 1), nil
					}
				}
				return nil, nil
			},
		},
	}
}

func changeFunctions() map[string]function {
	return map[string]function{
		"array_remove": {
			like: 0,
			min:  2,
			max:  2,
			args: []uint32{oidTextArray, oidText},
			f: func(_ *env, a []any) (any, error) {
				all, _ := a[0].([]any)
				return slices.DeleteFunc(
					slices.Clone(all),
					func(v any) bool { return v != nil && order(v, a[1]) == 0 },
				), nil
			},
		},
		"array_append": {
			like: 0,
			min:  2,
			max:  2,
			args: []uint32{oidTextArray, oidText},
			lax:  true,
			f: func(_ *env, a []any) (any, error) {
				all, _ := a[0].([]any)
				return append(slices.Clone(all), a[1]), nil
			},
		},
		"array_cat": {
			like: 0,
			min:  2,
			max:  2,
			args: []uint32{oidTextArray},
			lax:  true,
			f: func(_ *env, a []any) (any, error) {
				x, _ := a[0].([]any)
				y, _ := a[1].([]any)
				return slices.Concat(x, y), fits(len(x) + len(y))
			},
		},
	}
}
