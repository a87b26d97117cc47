package query_test

import (
	"strings"
	"testing"

	"github.com/velo-engine/velo/query"
)

// Goal: the functions of JSON find what a path leads to, as JSON or as a text, and say of what is no
// JSON that it is none. Method: a text for each kind of value, and each kind of path; what cannot be
// computed is NULL in a result.
func TestJSONFunctions(t *testing.T) {
	x := table{"n bigint, j text", []string{
		`1|{"a": {"b": [10, "x", null, true]}, "c d": "q\"", "1": 2.50}`, `2|[1, [2, 3]]`, `3|"s"`, `4|null`, `5|{`, `6|NULL`,
	}}
	for text, want := range map[string]string{
		`json_extract_string(j, '$.a.b[1]')`:         `x|NULL|NULL|NULL|NULL`,
		`get_json_object(j, '$."c d"')`:              `q"|NULL|NULL|NULL|NULL`,
		`json_value(j, '$.a')`:                       `NULL|NULL|NULL|NULL|NULL`,
		`json_value(j, '$[0]')`:                      `NULL|1|NULL|NULL|NULL`,
		`json_value(j, '$')`:                         `NULL|NULL|s|NULL|NULL`,
		`json_extract_scalar(j, '$.1')`:              `2.50|NULL|NULL|NULL|NULL`,
		`json_extract_string(j, '/a/b/3')`:           `true|NULL|NULL|NULL|NULL`,
		`json_extract_string(j, 'c d')`:              `q"|NULL|NULL|NULL|NULL`,
		`json_extract(j, '$.a.b[1]')`:                `"x"|NULL|NULL|NULL|NULL`,
		`json_extract(j, 'c d') = '"q\""'`:           `TRUE|NULL|NULL|NULL|NULL`,
		`json_extract(j, '/a/b/3') IN ('1', 'true')`: `TRUE|NULL|NULL|NULL|NULL`,
		`j #> '{a,b,1}'`:                             `"x"|NULL|NULL|NULL|NULL`,
		`j::json -> 'a' -> 'b' -> 1`:                 `"x"|NULL|NULL|NULL|NULL`,
		`j #> '{1,0}'`:                               `NULL|2|NULL|NULL|NULL`,
		`j #>> '{a, b, 1}'`:                          `x|NULL|NULL|NULL|NULL`,
		`json_extract_path_text(j, 'a', 'b', '2')`:   `NULL|NULL|NULL|NULL|NULL`,
		`json_extract_path(j, 'a', 'b', '2')`:        `null|NULL|NULL|NULL|NULL`,
		`json_typeof(j)`:                             `object|array|string|null|NULL`,
		`json_typeof(j, '$.a.b[0]')`:                 `number|NULL|NULL|NULL|NULL`,
		`json_typeof(j->'a'->'b'->3)`:                `boolean|NULL|NULL|NULL|NULL`,
		`json_array_length(j)`:                       `2|NULL`, // the others are no arrays
		`json_array_length(j, '$.a.b')`:              `4|NULL|NULL|NULL|NULL`,
		`json_valid(j)`:                              `TRUE|TRUE|TRUE|TRUE|FALSE|NULL`,
	} {
		got := x.records(t, `SELECT n, `+text+` AS v FROM t ORDER BY n`)
		for i := range got {
			_, got[i], _ = strings.Cut(got[i], " ")
		}
		if got := strings.Join(got, "|"); got != want {
			t.Errorf("%s\n%s\nexpected\n%s", text, got, want)
		}
	}
	schema, err := query.Columns("t", "j text, n bigint")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`json_value(j, '$.a[x]')`:                            "a [...] that is no number",
		`json_value(j, '$.a[0')`:                             "a [ that is not closed",
		`json_value(j, '$."a')`:                              "a quote that is not closed",
		`json_value(j, '$a')`:                                `after $ the path $a has "a"`,
		`json_value(j, '$..a')`:                              "a step that is no name",
		`json_value(j, '$.*')`:                               "a step that is no name",
		`json_value(j, '')`:                                  "the path is empty",
		`json_value(j, j)`:                                   "the path of json_value must be a text constant",
		`json_value(n, '$.a')`:                               "expected a text that has JSON",
		`json_value(j, '$` + strings.Repeat(".a", 65) + `')`: "a path of 65 steps",
		`jsonb_extract_path_text(j, 'a')`:                    "write json_extract_path_text",
		`'a'::"char"`:                                        "there is no type \"char\" in quotes",
		`j #> 'a'`:                                           "the path of #> is a list",
		`json_typeof(n)`:                                     "json_typeof of bigint, expected text",
		`json_valid(j, '$.a')`:                               "json_valid of 2 arguments, expected 1",
		`json_type(j)`:                                       `no function "json_type": write json_typeof(x)`,
	} {
		_, err := query.Compile(`SELECT `+text+` AS v FROM t`, schema)
		if err == nil {
			t.Errorf("%s is accepted", text)
		} else if first, _, _ := strings.Cut(err.Error(), "\n"); !strings.Contains(first, want) {
			t.Errorf("%s\n%v\nexpected %q", text, err, want)
		}
	}
}
