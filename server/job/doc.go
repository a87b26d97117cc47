// Package job keeps jobs alive: texts of SQL that should run, whatever ends the process.
//
// A Manager has a folder:
//
//	DIR/catalog/NAME.sql  a job: its text, and in a comment at the end what should be (desired)
//	DIR/jobs/NAME/N       the state of the job; N is one more each time that it begins anew;
//	                      with a file replacement.sql while it belongs to a replacement
//	DIR/events.ndjson     what has happened, and why
//
// A file of the catalog is replaced by renaming, after it was synced, so it is the old one or the
// new one whatever happens, and so is what should be. A file may also be put there by hand.
//
// # States
//
//	stopped, starting, running, paused, stopping, finished, failed, backing off, replacing
//
// Every transition is an Event with its cause. What should be is decided by the user alone (Put,
// Start, Stop, Pause, Resume, Restart, Delete), is durable before anything is done, and is what a
// restart of the process restores: all jobs at the same time, as many as there are cores.
//
// A job that fails is started again after 1 s, then after twice as long each time up to 60 s. After
// 10 failures within 10 minutes it stays failed, and so it does if trying again is no use
// (ErrPermanent). Jobs do not know each other: one that fails, or that no longer compiles, takes no
// other along.
//
// # Replacing
//
// Put of a job that is there compares what the state of both depends on. If the new text can go on
// with the state, the old one is stopped, its state saved, and the new one goes on with it. If not,
// Put changes nothing and returns a LossError that says what would be lost. Fresh is the choice to
// lose it; if only queries are gone, Drop is the choice to give up theirs. If the new text does not
// start, the old one is put back.
//
// # Side by side
//
// With PutOptions.Beside the new job begins anew in a folder of its own, while the old one runs on:
// Status.Replacement. When it has caught up (Candidate.CatchUp), these steps follow each other:
//
//	the catalog names the new text and its folder     a crash after this leaves the new job
//	the results of both are exchanged                 Candidate.TakeOver, one step for readers
//	the old one is stopped                            its folder stays until the job begins anew
//	replacement.sql is removed                        a crash before this: the next start does it
//
// A crash before the first step leaves both: the next start resumes the replacement beside the old
// job. A replacement that fails after it has run is started again as a job is. If it does not start
// at first, fails too often, or is ended by Abort, Stop or Delete, its folder is removed and the
// old job is as it was.
//
// # What runs
//
// The package does not know how a job is run: a Runner compiles texts to Programs, and a Program
// starts. So the state machine is tested without engines, by random commands with crashes between
// any two steps.
package job
