package velocli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/velo-engine/velo/server/job"
)

// applyCmd shows what files would change at a server, and changes it.
type applyCmd struct {
	Files  []string      `arg:"" name:"file" help:"Files NAME.sql, each the text of job NAME; or folders of them."`
	Server string        `help:"The URL of the server." default:"http://127.0.0.1:8123" env:"VELO_SERVER"`
	DryRun bool          `help:"Show the difference, and change nothing."`
	Fresh  bool          `help:"Let jobs that cannot go on with their state begin without it, this once."`
	Beside bool          `name:"side-by-side" help:"Let them begin beside the old ones, until they have caught up."`
	Drop   bool          `help:"Queries that a file no longer has may go, and their groups are lost."`
	Wait   time.Duration `help:"How long to wait until a job runs, for each job." default:"30s"`
	Token  string        `help:"A file that has the token for the server." env:"VELO_TOKEN_FILE" placeholder:"FILE"`
}

// maxAnswer bounds what is read of an answer of the server.
const maxAnswer = 16 << 20

// serverFailure is an error of a server.
type serverFailure struct {
	Error struct {
		Code, Message, Hint string
		Faults              []struct {
			Message  string
			Position *struct{ Line, Column int }
		}
	}
}

// remote is a server.
type remote struct {
	url, token string
	client     http.Client
}

// ask asks the server, and reads the answer into to. It returns the status, and the failure of the
// server if it is one.
func (r *remote) ask(method, path string, query url.Values, body string, to any) (int, *serverFailure, error) {
	q, err := http.NewRequest(method, strings.TrimRight(r.url, "/")+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Content-Type", "application/sql")
	if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	answer, err := r.client.Do(q)
	if err != nil {
		return 0, nil, fmt.Errorf("%w; velo serve starts a server", err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return 0, nil, err
	}
	if answer.StatusCode >= 400 {
		f := &serverFailure{}
		if err := json.Unmarshal(b, f); err != nil || f.Error.Message == "" {
			return answer.StatusCode, nil, fmt.Errorf("%s %s: %s", method, path, answer.Status)
		}
		return answer.StatusCode, f, nil
	}
	return answer.StatusCode, nil, json.Unmarshal(b, to)
}

// startGrace is how long apply tries again to reach a server that refuses connections: it may have
// been started just before, in the same script.
const startGrace = 2 * time.Second

// A dialer makes a connection.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// patient tries again for startGrace while a connection is refused. Nothing has been sent by then.
func patient(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		for until := time.Now().Add(startGrace); ; {
			c, err := dial(ctx, network, address)
			if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(until) {
				return c, err
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return nil, err
			}
		}
	}
}

// Run runs the command.
func (c *applyCmd) Run(std streams) error {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: patient(new(net.Dialer).DialContext), ForceAttemptHTTP2: true,
	}
	r := &remote{url: c.Server, client: http.Client{Timeout: c.Wait + time.Minute, Transport: transport}}
	if c.Token != "" {
		b, err := os.ReadFile(c.Token)
		if err != nil {
			return err
		}
		r.token = strings.TrimSpace(string(b))
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range files {
		err := c.apply(r, path, std)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// files are the files, and the files of the folders.
func (c *applyCmd) files() (all []string, err error) {
	for _, path := range c.Files {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			all = append(all, path)
			continue
		}
		in, err := filepath.Glob(filepath.Join(path, "*.sql"))
		if err != nil || len(in) == 0 {
			return nil, errors.Join(fmt.Errorf("%s has no file that ends with .sql", path), err)
		}
		all = append(all, in...)
	}
	return all, nil
}

// answer is what the server says of a job.
type applyAnswer struct {
	Text, Done, State, Cause string
	Pending                  bool
}

// apply applies one file.
func (c *applyCmd) apply(r *remote, path string, std streams) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := strings.TrimRight(string(b), "\n")
	name := strings.TrimSuffix(filepath.Base(path), ".sql")
	at := "/v1/jobs/" + url.PathEscape(name)
	var before applyAnswer
	status, failure, err := r.ask("GET", at, nil, "", &before)
	if err != nil || failure != nil && status != http.StatusNotFound {
		return errors.Join(err, failure.err())
	}
	query := url.Values{"wait": {c.Wait.String()}}
	if c.Fresh {
		query.Set("fresh", "true")
	}
	if c.Drop {
		query.Set("drop", "true")
	}
	if c.Beside {
		query.Set("side-by-side", "true")
	}
	query.Set("dry-run", "true")
	var would applyAnswer
	_, failure, err = r.ask("PUT", at, query, text, &would)
	if err != nil || failure != nil {
		return errors.Join(err, failure.err())
	}
	fmt.Fprintf(std.out, "job %s: would be %s\n", name, would.Done)
	for _, line := range difference(strings.Split(before.Text, "\n"), strings.Split(text, "\n")) {
		fmt.Fprintln(std.out, line)
	}
	if c.DryRun || would.Done == "unchanged" {
		return nil
	}
	query.Del("dry-run")
	var after applyAnswer
	_, failure, err = r.ask("PUT", at, query, text, &after)
	if err != nil || failure != nil {
		return errors.Join(err, failure.err())
	}
	if after.Pending && would.Done == job.PutBeside {
		fmt.Fprintf(std.out, "job %s: the replacement runs beside it, has not caught up yet, and takes over when it "+
			"has\n", name)
		return nil
	}
	if after.Pending {
		fmt.Fprintf(std.out, "job %s: is %s, and is not waited for any more\n", name, after.State)
		return nil
	}
	fmt.Fprintf(std.out, "job %s: %s, is %s\n", name, after.Done, after.State)
	return nil
}

// err is the failure as an error; nil if there is none.
func (f *serverFailure) err() error {
	if f == nil {
		return nil
	}
	e := &f.Error
	var b bytes.Buffer
	b.WriteString(e.Message)
	for _, fault := range e.Faults {
		switch {
		case fault.Position != nil:
			fmt.Fprintf(&b, "\n  line %d, column %d: %s", fault.Position.Line, fault.Position.Column, fault.Message)
		case !strings.Contains(e.Message, fault.Message): // the message has the first of them
			fmt.Fprintf(&b, "\n  %s", fault.Message)
		}
	}
	switch {
	case e.Code == "state_lost" && strings.HasPrefix(e.Hint, "drop"):
		b.WriteString("\n--drop gives up what is gone, and the other queries go on")
	case e.Code == "state_lost":
		b.WriteString("\n--fresh begins anew; --side-by-side does so beside the old job, which goes on until the new " +
			"one has caught up")
	case e.Hint != "":
		b.WriteString("\n" + e.Hint)
	}
	return errors.New(b.String())
}

// maxDifference bounds the lines that difference compares exactly.
const maxDifference = 2000

// difference is what has to be done to the lines of a to get b: lines with + and -, and one line
// without a change around them.
func difference(a, b []string) (all []string) {
	if len(a) == 1 && a[0] == "" {
		a = nil
	}
	if slices.Equal(a, b) {
		return nil
	}
	if len(a) > maxDifference || len(b) > maxDifference {
		return []string{fmt.Sprintf("- %d lines", len(a)), fmt.Sprintf("+ %d lines", len(b))}
	}
	// longest[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			all = append(all, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			all = append(all, "- "+a[i])
			i++
		default:
			all = append(all, "+ "+b[j])
			j++
		}
	}
	return changed(all)
}

// changed leaves out lines that are not next to a change.
func changed(lines []string) (all []string) {
	isChange := func(i int) bool { return i >= 0 && i < len(lines) && lines[i][0] != ' ' }
	for i, line := range lines {
		if isChange(i-1) || isChange(i) || isChange(i+1) {
			all = append(all, line)
		}
	}
	return all
}
