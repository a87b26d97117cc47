package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"time"

	"github.com/velo-engine/velo/internal/doctor"
)

// doctorCmd says what of the host would spoil a run.
type doctorCmd struct {
	Watch time.Duration `help:"How long to watch what else runs on the CPUs." default:"1s"`
	Root  string        `help:"A recorded tree of another host, proc and sys, in its place." type:"path"`
	JSON  bool          `name:"json" help:"Print one JSON object."`
}

// errSaysNo is for commands whose answer is no: the exit status is 3. What was printed says why.
var errSaysNo = errors.New("")

func (c *doctorCmd) Run(std streams) error {
	r, err := c.examine()
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(std.out).Encode(struct {
			stamp
			doctor.Report
		}{newStamp(r.Spoilers()), r})
	} else {
		r.Print(std.out)
	}
	if err == nil && r.Spoiled() {
		err = errSaysNo
	}
	return err
}

func (c *doctorCmd) examine() (doctor.Report, error) {
	if c.Root == "" {
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
		defer cancel()
		return doctor.Live(ctx, c.Watch)
	}
	root := os.DirFS(c.Root)
	usable, err := doctor.UsableOf(root)
	if err != nil {
		return doctor.Report{}, err
	}
	s := doctor.TakeSample(root)
	return doctor.Examine(root, usable, s, s), nil
}
