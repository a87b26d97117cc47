package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/velo-engine/velo/server/job"
)

// What schemathesis has found, as tests.

// jobServer is a server with jobs, and none of them.
func jobServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	jobs, err := job.Open(job.Config{Dir: t.TempDir(), Runner: noJobs{}})
	must(t, err)
	t.Cleanup(func() { must(t, jobs.Close()) })
	s, _, _ := mounted(t, func(c *Config) {
		c.Jobs, c.Runner = jobs, noJobs{}
		if change != nil {
			change(c)
		}
	})
	return s
}

// Goal: Allow has the methods that a path takes, and no others.
func TestAllow(t *testing.T) {
	s := jobServer(t, nil)
	for path, want := range map[string]string{
		"/v1/jobs/a/stats": "GET", "/v1/jobs/a/quarantine": "GET", "/v1/jobs/a/stop": "POST", "/v1/jobs/a": "GET, PUT, DELETE",
		"/v1/query": "GET, POST", "/v1/views": "GET", "/v1/nothing": "", "/v1/jobs/a/nothing": "",
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodOptions, "http://127.0.0.1"+path, nil))
		status := http.StatusMethodNotAllowed
		if want == "" {
			status = http.StatusNotFound
		}
		if got := w.Header().Get("Allow"); got != want || w.Code != status {
			t.Errorf("%s: %d, Allow: %s, want %d, %s", path, w.Code, got, status, want)
		}
	}
}

// Goal: the description asks for a token if the server does, and not otherwise.
func TestDescriptionOfTokens(t *testing.T) {
	for _, tokens := range []bool{false, true} {
		text, err := describe(tokens)
		must(t, err)
		var doc struct {
			Paths map[string]map[string]struct{ Security any }
		}
		must(t, json.Unmarshal(text, &doc))
		asks := 0
		for _, methods := range doc.Paths {
			for _, o := range methods {
				if o.Security != nil {
					asks++
				}
			}
		}
		if (asks > 0) != tokens || len(doc.Paths) < 15 {
			t.Errorf("tokens: %v, and %d operations of %d paths ask for one", tokens, asks, len(doc.Paths))
		}
	}
	s := jobServer(t, nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v1/openapi.json", nil))
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"security": [`) {
		t.Errorf("a server without tokens: %d, its description asks for one", w.Code)
	}
}

// Goal: what the description allows of a number or of a time is accepted, and what is more is
// refused. Method: the limits and examples of the patterns, at the handlers of the first path that
// has the parameter. A job that is not there is found to be missing only after that.
func TestDescribedParameters(t *testing.T) {
	s := jobServer(t, nil)
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name, In string
				Schema   struct {
					Pattern string
					Maximum *int64
				}
			}
		}
	}
	must(t, json.Unmarshal(openAPI, &doc))
	ask := func(method, path string) int {
		w := httptest.NewRecorder()
		path = strings.NewReplacer("{job}", "nothing", "{action}", "stop", "{view}", "volumes").Replace(path)
		s.ServeHTTP(w, httptest.NewRequest(strings.ToUpper(method), "http://127.0.0.1"+path, strings.NewReader("x")))
		if w.Code == http.StatusBadRequest && strings.Contains(w.Body.String(), `"code":"parameter"`) {
			return w.Code
		}
		return 0
	}
	patterns, limits := 0, 0
	for path, methods := range doc.Paths {
		for method, o := range methods {
			for _, p := range o.Parameters {
				if p.In == "query" && p.Schema.Pattern != "" {
					patterns++
					pattern := regexp.MustCompile(p.Schema.Pattern)
					good := 0
					for _, example := range []string{"0ms", "500ms", "99999ms", "0s", "7s", "60s", "299s", "5m", "1 MB", "64MiB", "999999 GiB"} {
						if !pattern.MatchString(example) {
							continue
						}
						good++
						at := path + "?" + p.Name + "=" + strings.ReplaceAll(example, " ", "%20")
						if ask(method, at) != 0 {
							t.Errorf("%s %s is refused, and described", method, at)
						}
					}
					if at := path + "?" + p.Name + "=1x"; good < 3 || pattern.MatchString("1x") || ask(method, at) == 0 {
						t.Errorf("%s %s: %d examples fit the pattern, and 1x is refused: %d", method, at, good, ask(method, at))
					}
				}
				if most := p.Schema.Maximum; most != nil {
					limits++
					at := path + "?" + p.Name + "="
					if ask(method, at+fmt.Sprint(*most)) != 0 || ask(method, at+fmt.Sprint(*most+1)) == 0 {
						t.Errorf("%s %s: up to %d is described", method, at, *most)
					}
				}
			}
		}
	}
	if patterns < 4 || limits < 2 {
		t.Errorf("%d patterns and %d limits", patterns, limits)
	}
}

// Goal: a text that is not there is an answer of validate, and no error.
func TestValidateNothing(t *testing.T) {
	s := jobServer(t, nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/validate", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"ok":`) {
		t.Errorf("%d, %s", w.Code, w.Body)
	}
}
