package velocli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/velo-engine/velo/internal/cli"
)

// filesName is the name in FROM of the files that the command line lists.
const filesName = "files"

// queryBegin is how a query begins, after comments and brackets.
var queryBegin = regexp.MustCompile(`(?is)^(\s|\(|--[^\n]*\n|/\*.*?\*/)*(SELECT|WITH|VALUES|EXPLAIN|CREATE|INSERT)\b`)

// statementBegin is how SQL begins, after comments and brackets, whether velo has the statement or
// not: if it does not, its error says what to write instead.
var statementBegin = regexp.MustCompile(`(?is)^(\s|\(|--[^\n]*\n|/\*.*?\*/)*` +
	`(SELECT|WITH|VALUES|EXPLAIN|CREATE|INSERT|FROM|DESCRIBE|DESC|SHOW|SUMMARIZE)[\s(*"']`)

// isStatement says whether an argument is SQL, and no file.
func isStatement(arg string) bool {
	_, err := os.Lstat(arg)
	return err != nil && statementBegin.MatchString(arg)
}

// explained finds the statement of an EXPLAIN, and leaves spaces where the word was, so that errors
// have the right places.
func explained(sql string) (statement string, ok bool) {
	at := explainBegin.FindStringSubmatchIndex(sql)
	if at == nil {
		return "", false
	}
	begin, end := at[2], at[3]
	return sql[:begin] + strings.Repeat(" ", end-begin) + sql[end:], true
}

var explainBegin = regexp.MustCompile(`(?is)^(?:\s|--[^\n]*\n|/\*.*?\*/)*(EXPLAIN)\s`)

// queryOf finds the query among the arguments of a command. All others are files, as a shell makes
// them of a pattern, and may come before or after it.
func queryOf(args []string) (sql string, listed []string, err error) {
	at := -1
	for i, arg := range args {
		if _, err := os.Lstat(arg); err == nil || !queryBegin.MatchString(arg) {
			continue
		}
		if at >= 0 {
			return "", nil, cli.Misusef("two queries, %q and %q: expected one argument with semicolons between "+
				"its SELECTs", args[at], arg)
		}
		at = i
	}
	if len(args) == 1 {
		if _, err := os.Lstat(args[0]); at < 0 && err == nil {
			return "", nil, cli.Misusef("%s is a file, and there is no query: velo query %[1]s 'SELECT count(*) "+
				"FROM %s'", args[0], filesName)
		}
		return args[0], nil, nil // whatever is wrong with it, its compiler says
	}
	if at < 0 {
		return "", nil, cli.Misusef("none of the arguments is a query: velo query FILE ... 'SELECT count(*) FROM %s'",
			filesName)
	}
	for i, arg := range args {
		if i != at && !slices.ContainsFunc(listed, func(other string) bool {
			return filepath.Clean(other) == filepath.Clean(arg) // each file is read once
		}) {
			listed = append(listed, arg)
		}
	}
	return args[at], listed, nil
}

// wantsListed reports files that are listed if the query reads something else.
func (in *input) wantsListed(name string) error {
	if len(in.listed) > 0 && name != filesName {
		return fmt.Errorf("the command line lists files (%s), and the query reads %q: expected FROM %s",
			listedText(in.listed), name, filesName)
	}
	return nil
}

// target is what is read: the name, or what it stands for if that is one file, directory or
// pattern.
func (f *files) target() string {
	if len(f.listed) == 1 {
		return f.listed[0]
	}
	return f.name
}

// isSet says whether there may be any number of files, and not one.
func (f *files) isSet() bool { return len(f.listed) > 1 || isPattern(f.target()) }

// find returns the files.
func (f *files) find() ([]string, error) { return findAll(f.name, f.listed) }

// findAll returns the files that a name stands for, or those that are listed, each once.
func findAll(name string, listed []string) (paths []string, err error) {
	if len(listed) == 0 {
		return find(name)
	}
	var faults []error
	for _, one := range listed {
		found, err := find(one)
		if err != nil {
			faults = append(faults, err)
		}
		for _, path := range found {
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths, errors.Join(faults...)
}

// listedText names what is listed, for messages.
func listedText(listed []string) string {
	if len(listed) > 3 {
		return strings.Join(listed[:3], ", ") + ", ..."
	}
	return strings.Join(listed, ", ")
}
