package main

// How long commands take, for --help. The figures are from a virtual machine of two CPUs, with the
// default flags.

const asItComes = " Each line is shown on standard error as it is measured if that is a terminal, or with --verbose."

// takes says how long a command takes for all of its default runs.
func takes(about string) string { return "It takes " + about + " with the defaults." }

// Help is the additional text of --help, as are the others here.
func (runCmd) Help() string      { return takes("12 s") }
func (scaleCmd) Help() string    { return takes("half a minute") + asItComes }
func (modesCmd) Help() string    { return takes("12 s") + asItComes }
func (locksCmd) Help() string    { return takes("half a minute") + asItComes }
func (readersCmd) Help() string  { return takes("10 s") + asItComes }
func (latencyCmd) Help() string  { return takes("15 s") }
func (batchingCmd) Help() string { return takes("a minute and a half") + asItComes }
func (idleCmd) Help() string     { return takes("50 s") + asItComes }
func (snapshotCmd) Help() string { return takes("45 s") + " With --rivals it takes a minute more." }
func (ingestCmd) Help() string   { return takes("3 minutes") + asItComes }
func (modelCmd) Help() string {
	return takes("a minute and a half") + " With --calibration it takes some seconds, and half " +
		"a minute for 1,024 cores."
}

func (skewCmd) Help() string {
	return takes("10 minutes") + " That is 2 minutes a run: 9 loads with 4 assignments each, and each of these " +
		"takes --duration and a second more, in which the engine finds its way. --skew and --runs make it shorter." +
		asItComes
}

func (validateCmd) Help() string {
	return takes("3 minutes") + " Most of it are the tests, and more if they must be compiled. Each line is printed " +
		"when it is known."
}

func (ringCmd) Help() string {
	return "It takes --duration for each measurement and run; --only picks some of them."
}

func (doctorCmd) Help() string { return "It takes as long as --watch says." }
