package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/affinity"
)

// schemaVersion is the version of the JSON objects. It rises when a field changes its meaning or is
// taken away, and not when one is added.
const schemaVersion = 1

// A stamp says where a figure comes from. Every JSON object has one.
type stamp struct {
	SchemaVersion int      `json:"schema_version"`
	Command       string   `json:"command"`
	Time          string   `json:"time"`
	Host          string   `json:"host"`
	CPU           string   `json:"cpu"`
	UsableCPUs    string   `json:"usable_cpus"`
	Kernel        string   `json:"kernel"`
	System        string   `json:"system"`
	GoVersion     string   `json:"go_version"`
	Commit        string   `json:"commit"`
	Spoilers      []string `json:"spoilers"` // what could have spoilt the figures, empty if nothing could
}

// commandLine is what the program was called with.
var commandLine []string

func newStamp(spoilers []string) stamp {
	h := affinity.Describe()
	name, _ := os.Hostname()
	return stamp{
		schemaVersion, "veloperf " + strings.Join(commandLine, " "), time.Now().UTC().Format(time.RFC3339), name, h.CPU,
		affinity.FormatList(h.CPUs), h.Kernel, h.System, h.GoVersion, commit(), append([]string{}, spoilers...),
	}
}

// commit is the commit that the program was built from, with + if files differed from it.
var commit = sync.OnceValue(func() string {
	revision, modified := "", false
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if revision == "" { // go run and go test leave it out
		revision, modified = commitOfSource()
	}
	switch {
	case revision == "" && info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version // go install of a version
	case revision == "":
		return "unknown"
	case modified:
		return revision + "+"
	}
	return revision
})

// commitOfSource asks git about the folder that this file was compiled in, if it is still there.
func commitOfSource() (revision string, modified bool) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", false
	}
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", filepath.Dir(file)}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	revision, err := git("rev-parse", "HEAD")
	if err != nil {
		return "", false
	}
	changes, err := git("status", "--porcelain", "--untracked-files=no")
	return revision, err != nil || changes != ""
}

// version is what --version prints.
func version() string {
	v := "unknown version"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return "veloperf " + v + ", commit " + commit() + ", " + runtime.Version() + ", " +
		"" + runtime.GOOS + "/" + runtime.GOARCH
}
