package pg

import (
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // clients set TimeZone, and Windows has no zones

	"github.com/velo-engine/velo/pg/catalog"
)

// ServerVersion is the version of PostgreSQL whose catalog clients find.
const ServerVersion = "15.0 (velo)"

const serverVersionNum = "150000"

// A setting is a parameter of a session that clients know.
type setting struct {
	name   string // as SHOW and ParameterStatus write it
	value  string
	report bool                                            // told to the client at the start and when it changes
	fixed  bool                                            // cannot be set
	check  func(s *session, value string) (string, *Error) // the value to keep
}

// settings are the settings of PostgreSQL that clients ask for or set. Others are kept as they
// come: an application may have names of its own, and drivers set what newer servers have.
var settings = []setting{
	{name: "server_version", value: ServerVersion, report: true, fixed: true},
	{name: "server_version_num", value: serverVersionNum, fixed: true},
	{name: "server_encoding", value: "UTF8", report: true, fixed: true},
	{name: "client_encoding", value: "UTF8", report: true, check: checkEncoding},
	{name: "application_name", report: true},
	{name: "default_transaction_read_only", value: "on", report: true, check: checkReadOnly},
	{name: "in_hot_standby", value: "off", report: true, fixed: true},
	{name: "is_superuser", value: "off", report: true, fixed: true},
	{name: "session_authorization", report: true, fixed: true},
	{name: "DateStyle", value: "ISO, MDY", report: true, check: checkDateStyle},
	{name: "IntervalStyle", value: "postgres", report: true},
	{name: "TimeZone", value: "UTC", report: true, check: checkZone},
	{name: "integer_datetimes", value: "on", report: true, fixed: true},
	{name: "standard_conforming_strings", value: "on", report: true, check: checkOn},
	{name: "search_path", value: `"$user", public`},
	{name: "extra_float_digits", value: "1", check: checkDigits},
	{name: "statement_timeout", value: "0", check: checkTimeout},
	{name: "bytea_output", value: "hex"},
	{name: "transaction_read_only", value: "on", check: checkReadOnly},
	{name: "transaction_isolation", value: "repeatable read"},
	{name: "default_transaction_isolation", value: "repeatable read"},
	{name: "transaction_deferrable", value: "off"},
	{name: "max_identifier_length", value: "63", fixed: true},
	{name: "max_index_keys", value: "32", fixed: true},
	{name: "block_size", value: "8192", fixed: true},
	{name: "lc_collate", value: "C", fixed: true},
	{name: "lc_ctype", value: "C", fixed: true},
	{name: "lc_messages", value: "C"},
	{name: "lc_monetary", value: "C"},
	{name: "lc_numeric", value: "C"},
	{name: "lc_time", value: "C"},
	{name: "client_min_messages", value: "notice"},
	{name: "lock_timeout", value: "0"},
	{name: "idle_in_transaction_session_timeout", value: "0"},
	{name: "row_security", value: "on"},
	{name: "ssl", value: "off", fixed: true},
	{name: "default_table_access_method", value: "heap"},
	{name: "default_tablespace"},
	{name: "max_connections", value: "200", fixed: true},
	{name: "wal_level", value: "minimal", fixed: true},
}

func settingOf(name string) *setting {
	for i := range settings {
		if strings.EqualFold(settings[i].name, name) {
			return &settings[i]
		}
	}
	return nil
}

func checkEncoding(_ *session, v string) (string, *Error) {
	// PostgreSQL looks at letters and digits only; asyncpg sends quotes.
	name := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(v))
	switch name {
	case "utf8", "unicode", "":
		return "UTF8", nil
	}
	return "", errorf(codeUnsupported, "client_encoding %q is not supported", v).hint("Texts are UTF8.")
}

func checkDateStyle(_ *session, v string) (string, *Error) {
	style := strings.ToLower(strings.TrimSpace(v))
	order := "MDY"
	for part := range strings.SplitSeq(style, ",") {
		switch strings.TrimSpace(part) {
		case "iso", "":
		case "mdy", "us", "noneuro", "noneuropean":
			order = "MDY"
		case "dmy", "euro", "european":
			order = "DMY"
		case "ymd":
			order = "YMD"
		default:
			return "", errorf(
				codeUnsupported,
				"DateStyle %q is not supported",
				v,
			).hint("Times are written in style ISO.")
		}
	}
	return "ISO, " + order, nil
}

func checkOn(_ *session, v string) (string, *Error) {
	on, ok := boolean(v)
	if !ok || !on {
		return "", errorf(codeBadValue, "this parameter can only be on")
	}
	return "on", nil
}

func checkReadOnly(_ *session, v string) (string, *Error) {
	on, ok := boolean(v)
	if !ok {
		return "", errorf(codeBadValue, "%q is not a Boolean value", v)
	}
	if !on {
		return "off", nil // it is set by drivers as a matter of course; writes are refused all the same
	}
	return "on", nil
}

func checkDigits(s *session, v string) (string, *Error) {
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil || n < -15 || n > 3 {
		return "", errorf(codeBadValue, "extra_float_digits is from -15 to 3, not %q", v)
	}
	s.style.digits = 0
	if n <= 0 {
		s.style.digits = max(15+n, 1)
	}
	return strconv.Itoa(n), nil
}

func checkTimeout(s *session, v string) (string, *Error) {
	d, ok := duration(v)
	if !ok {
		return "", errorf(codeBadValue, "statement_timeout is a time such as 5000 or '5s', not %q", v)
	}
	s.timeout = d
	return v, nil
}

// duration reads a time of PostgreSQL's settings: milliseconds, or with a unit.
func duration(v string) (time.Duration, bool) {
	v = strings.TrimSpace(v)
	units := []struct {
		name string
		unit time.Duration
	}{
		{"ms", time.Millisecond},
		{"min", time.Minute},
		{"us", time.Microsecond},
		{"s", time.Second},
		{"h", time.Hour},
		{"d", 24 * time.Hour},
		{"", time.Millisecond},
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(v, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err == nil && n >= 0 && n <= int64(1<<62)/int64(u.unit) {
			return time.Duration(n) * u.unit, true
		}
	}
	return 0, false
}

func checkZone(s *session, v string) (string, *Error) {
	name, zone, ok := zoneOf(v)
	if !ok {
		return "", errorf(codeBadValue, "invalid value for parameter \"TimeZone\": %q", v).
			hint("Zones have names such as UTC and Europe/Berlin.")
	}
	s.style.zone, s.style.utc = zone, zone == time.UTC
	return name, nil
}

// zoneOf finds a zone: one with a name, or an offset as POSIX writes it, such as GMT-02:00, which
// is two hours ahead.
func zoneOf(v string) (string, *time.Location, bool) {
	v = strings.TrimSpace(v)
	switch strings.ToLower(v) {
	case "utc", "gmt", "z", "zulu", "etc/utc", "default":
		return "UTC", time.UTC, true
	case "", "local":
		return "", nil, false
	}
	zone, err := time.LoadLocation(v)
	if err == nil {
		return v, zone, true
	}
	rest := v
	sign := -1
	if n, err := strconv.ParseFloat(v, 64); err == nil && n > -24 && n < 24 {
		return v, time.FixedZone(v, int(n*3600)), true
	}
	if end := strings.IndexByte(v, '>'); strings.HasPrefix(v, "<") && end > 0 {
		rest = v[end+1:]
	} else {
		rest = strings.TrimLeft(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	}
	if rest == "" || rest == v {
		return "", nil, false
	}
	switch rest[0] {
	case '-':
		sign, rest = 1, rest[1:]
	case '+':
		rest = rest[1:]
	}
	hours, minutes, _ := strings.Cut(rest, ":")
	h, err := strconv.Atoi(hours)
	m := 0
	if err == nil && minutes != "" {
		m, err = strconv.Atoi(minutes)
	}
	if err != nil || h < 0 || h > 24 || m < 0 || m > 59 {
		return "", nil, false
	}
	return v, time.FixedZone(v, sign*(h*3600+m*60)), true
}

func boolean(v string) (on, ok bool) {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "on", "true", "yes", "1", "t", "y":
		return true, true
	case "off", "false", "no", "0", "f", "n":
		return false, true
	}
	return false, false
}

// maxSettings is how many parameters that velo does not know a session keeps.
const (
	maxSettings  = 200
	maxValueSize = 4 << 10 // bytes of the value of a parameter
)

// set sets a parameter of the session, and tells the client if it wants to know.
func (s *session) set(name, value string) *Error {
	known := settingOf(name)
	key := strings.ToLower(name)
	switch {
	case len(value)+len(name) > maxValueSize:
		return errorf(codeLimit, "the value of a parameter has at most %d bytes", maxValueSize)
	case known == nil && len(s.settings) > maxSettings+len(settings):
		return errorf(codeLimit, "a session keeps %d parameters", maxSettings)
	case known == nil:
		s.settings[key] = value
		return nil
	case known.fixed:
		return errorf("55P02", "parameter %q cannot be changed", known.name)
	case known.check != nil:
		v, e := known.check(s, value)
		if e != nil {
			return e
		}
		value = v
	}
	before := s.setting(name)
	s.settings[key] = value
	if known.report && s.started && before != value {
		s.status(known.name, value)
	}
	return nil
}

// setting is the value of a parameter, "" if there is none.
func (s *session) setting(name string) string {
	v, ok := s.settings[strings.ToLower(name)]
	if ok {
		return v
	}
	if known := settingOf(name); known != nil {
		return s.original(known)
	}
	return ""
}

// original is the value of a parameter at the start of the session.
func (s *session) original(known *setting) string {
	if v, ok := s.first[strings.ToLower(known.name)]; ok {
		return v
	}
	return known.value
}

// known says whether there is such a parameter.
func (s *session) known(name string) bool {
	_, ok := s.settings[strings.ToLower(name)]
	return ok || settingOf(name) != nil
}

// reset gives a parameter the value that it had at the start.
func (s *session) reset(name string) *Error {
	known := settingOf(name)
	if known == nil {
		key := strings.ToLower(name)
		if v, ok := s.first[key]; ok {
			s.settings[key] = v
		} else {
			delete(s.settings, key)
		}
		return nil
	}
	if known.fixed {
		return errorf("55P02", "parameter %q cannot be changed", known.name)
	}
	return s.set(name, s.original(known))
}

func (s *session) resetAll() {
	for i := range settings {
		if !settings[i].fixed {
			_ = s.reset(settings[i].name)
		}
	}
	for name := range s.settings {
		if settingOf(name) == nil {
			_ = s.reset(name)
		}
	}
}

// allSettings are the rows of SHOW ALL.
func (s *session) allSettings() [][]any {
	names := map[string]string{}
	for i := range settings {
		names[settings[i].name] = s.setting(settings[i].name)
	}
	for name, v := range s.settings {
		if settingOf(name) == nil {
			names[name] = v
		}
	}
	var rows [][]any
	for name, v := range names {
		rows = append(rows, []any{name, v, ""})
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return strings.Compare(strings.ToLower(a[0].(string)), strings.ToLower(b[0].(string)))
	})
	return rows
}

// settingName reads the name of a parameter: TimeZone, TIME ZONE, my.name.
func settingName(t []catalog.Token) (name string, rest []catalog.Token) {
	if t[0].Is("time") && t[1].Is("zone") {
		return "TimeZone", t[2:]
	}
	if t[0].Is("transaction") && t[1].Is("isolation") && t[2].Is("level") {
		return "transaction_isolation", t[3:]
	}
	if t[0].Is("session") && t[1].Is("authorization") {
		return "session_authorization", t[2:]
	}
	if t[0].Kind != catalog.Word && t[0].Kind != catalog.Quoted {
		return "", t
	}
	name, rest = t[0].Text, t[1:]
	for rest[0].Is(".") && rest[1].Kind == catalog.Word {
		name += "." + rest[1].Text
		rest = rest[2:]
	}
	return name, rest
}
