// Package secret finds secrets in texts of SQL and in options, so that no message has them: values
// of options that are called a password or a secret, and passwords in URLs and connection strings.
package secret

import (
	"net/url"
	"regexp"
	"strings"
)

// words are what names of secrets have in them.
const words = `password|passwd|passwrd|pasword|passphrase|secret|pwd`

var (
	// named is the name of a secret and what stands between it and its value.
	named = regexp.MustCompile(`(?i)[\w.-]*(?:` + words + `)[\w.-]*["']?\s*=\s*`)

	// inURL is the password of a URL.
	inURL = regexp.MustCompile(`://[^\s/:@'"]*:([^\s'"]*)@`)

	// isName is a name alone.
	isName = regexp.MustCompile(`(?i)^[\w.-]*(?:` + words + `)[\w.-]*$`)
)

// fileSuffix ends the names of options that are paths of files with secrets.
const fileSuffix = ".file"

// Named says whether an option is a secret, by its name. A path of a file with one is none.
func Named(option string) bool {
	return isName.MatchString(option) && !strings.HasSuffix(option, fileSuffix)
}

// In says whether the value of an option is a URL, or a connection string of PostgreSQL, with a
// password.
func In(value string) bool {
	u, err := url.Parse(value)
	if err == nil && u.Scheme != "" {
		_, set := u.User.Password()
		return set || Hide(value) != value
	}
	return Hide(value) != value
}

// Hide returns a text with * for each byte of its secrets, so that places in it stay right. In a
// text that is no SQL at that place it hides too much rather than too little: up to the next comma,
// bracket or line.
func Hide(text string) string {
	var spans [][2]int
	for _, at := range named.FindAllStringIndex(text, -1) {
		name := strings.TrimRight(text[at[0]:at[1]], "= \t\r\n\"'")
		rest := text[at[1]:]
		if strings.HasSuffix(name, fileSuffix) || strings.HasPrefix(strings.ToLower(rest), "env(") {
			continue
		}
		spans = append(spans, [2]int{at[1], at[1] + valueLen(rest)})
	}
	for _, at := range inURL.FindAllStringSubmatchIndex(text, -1) {
		spans = append(spans, [2]int{at[2], at[3]})
	}
	if len(spans) == 0 {
		return text
	}
	hidden := []byte(text)
	for _, s := range spans {
		for i := s[0]; i < s[1]; i++ {
			if c := hidden[i]; c != '\n' && c != '\r' {
				hidden[i] = '*'
			}
		}
	}
	return string(hidden)
}

// ends are the bytes after which a value has ended; of one without quotes a blank ends it, too.
const ends = ",);\n"

// valueLen is how long the value is that a text begins with.
func valueLen(text string) int {
	if !strings.HasPrefix(text, "'") {
		n := strings.IndexAny(text, ends+" \t\r'\"&")
		if n < 0 {
			return len(text)
		}
		return n
	}
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '\'':
		case strings.HasPrefix(text[i+1:], "'"):
			i++ // a quote in the value
		default:
			// A value with a quote that was not doubled goes on.
			rest := strings.TrimLeft(text[i+1:], " \t\r")
			if rest == "" || strings.ContainsAny(rest[:1], ends) {
				return i + 1
			}
			n := strings.IndexAny(text[i+1:], ends)
			if n < 0 {
				return len(text)
			}
			return i + 1 + n
		}
	}
	return len(text)
}

// Redact returns a message with *** in the places of values that are secrets.
func Redact(message string, values ...string) string {
	for _, v := range values {
		hidden := strings.Repeat("*", min(len(v), 3))
		if h := Hide(v); h != v {
			hidden = h
		}
		message = strings.ReplaceAll(message, v, hidden)
	}
	return inURL.ReplaceAllStringFunc(message, Hide)
}
