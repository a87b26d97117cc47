/* State: how an engine saves what it has, and goes on with it after a crash. Keeper: pin, manifest, saveSink, pane and sayDurable of
   engine/keeper.go; save and send of engine/outbox.go. Folder: Part, Commit, Abort, forget and trim of state/segment.go; look of
   state/folder.go. Start: restore and recoverSink of engine/restore.go; recoverOutbox and resend of engine/outbox.go. Writer: Save and Recover of
   writers/file_resume.go. What is around: PositionsAt of core/positions.go, answer of core/partition_epoch.go, writeCut of engine/output.go.

   One reader, whose records have numbers, the output, and the keeper. The process ends at any moment. The power may fail with it: then a file that was
   not synced is torn, and a name that was made or removed since the folder was synced is there or not. After that the folder is opened, the engine
   is restored, and everything goes on.

   The output writes windows of two records each, to a record.Committer. With PLAIN its writer knows nothing after a crash, and windows may be
   written again. With OUTBOX it is a record.Transactional that gets a row for each record. With BOTH there are two plans, one with each of
   these writers: each generation has both, and a restart goes on with both at its positions. FAULTS calls of the disk or of the writer fail. With DAMAGE
   a bit of the newest generation is flipped before one of the starts.

   None of these may be: a window that lacks a record or is written twice; a row that is lost or there twice; a start that is refused; a generation
   that a crash has damaged; a record that is needed again after its sender was told that it is not.

   What marks.pml and epoch.pml have in detail is one step here: an epoch, with its note, its image and its cut. The first generation is there
   when the model begins. */

#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef SAVES
#define SAVES 2		/* of all lives, before the last */
#endif
#ifndef FAULTS
#define FAULTS 0
#endif
#define GENERATIONS 12	/* with those that are given up */
#define SLOTS 3		/* of the newest cut, of the one in flight, of the keeper's */
#define NONE 255

/* Which outputs there are. */
#if defined(OUTBOX) || defined(BOTH)
#define BOX
#endif
#ifndef OUTBOX
#define SINKS
#endif

#define bit(g)		(1 << (g))
#define ROWS(from, to)	((bit(to) - 1) & ~(bit(from) - 1))	/* records after from, up to to */
#define ROW(n)		bit((n) - 1)
#define WINDOWS		((RECORDS + 1) / 2)
#define WINDOW(w)	(ROWS(2 * (w) - 2, 2 * (w)) & ROWS(0, RECORDS))
#define CLOSED(n)	((n) == RECORDS -> WINDOWS : (n) / 2)	/* windows, when n records were read */

/* The disk. A set of generations has a bit for each. */
typedef Generation {
	byte rows;		/* what its segment has */
	byte pane;		/* the generation whose segment has the pane of the first window */
	byte position;		/* Reader.Positions: the records that were read */
	byte written;		/* Plan.Written */
	byte sink;		/* Plan.Sink */
	byte after, number;	/* Plan.Outbox */
	byte from, to		/* its rows */
}
Generation gen[GENERATIONS];
short segments, manifests;		/* the names that are there */
short safeSegments, safeManifests;	/* those of them that stay when the power fails */
short goneSegments, goneManifests;	/* names that come back then, or not */
short syncedSegments, syncedManifests;	/* files that were synced */
short tornSegments, tornManifests;	/* files that are damaged */
byte durable;				/* the newest whose Commit has returned */
byte crashes, faults = FAULTS;
#ifdef DAMAGE
bit damaged;
#endif

/* The writer's files, and its transactions. */
byte out, safeOut;	/* windows in its files, and those that were synced */
byte named;		/* windows in files with names */
byte taken, takenRows;	/* the last transaction, and all rows */

byte told;		/* the sender forgets the records up to this one */

/* The engine. */
byte read;			/* records that were routed */
byte current, pinned;		/* the slots of the newest cut and of the keeper's */
byte note[SLOTS], image[SLOTS];	/* what was read, and the rows, at the mark */
byte rows;			/* of the live table */
byte written;			/* Cuts.Written */

/* The keeper and its folder. */
mtype = { IDLE, PIN, WRITTEN, SINK, SEGMENT, SYNC_SEGMENT, MANIFEST, SYNC_NAMES, RENAME, SYNC_RENAME, FORGET, SEND, FAILED, DONE };
mtype step;
byte g;			/* the generation that is written */
byte newest, last;	/* Folder.Newest, Folder.last */
short kept;		/* Folder.kept */
byte panes;		/* keeper.panes: the newest generation of this life; 0 if there is none */
byte saves;
byte sent, boxFrom, boxTo;	/* the outbox: its last transaction, the rows that wait */
hidden byte x, y;	/* within one step */
hidden short names;
#ifdef BUG_UNPINNED_EARLY
byte was;
#endif
#ifdef BUG_SAVES_WITHOUT_ONE
bit hangs;
#define HANGS hangs
#else
#define HANGS false
#endif

/* What comes after a step. */
#ifdef BUG_WRITTEN_BEFORE_PIN
#define AFTER_IDLE WRITTEN
#define AFTER_PIN SINK
#define AFTER_WRITTEN PIN
#define AFTER_SINK SEGMENT
#elif defined(BUG_SINK_BEFORE_WRITTEN)
#define AFTER_IDLE PIN
#define AFTER_PIN SINK
#define AFTER_SINK WRITTEN
#define AFTER_WRITTEN SEGMENT
#else
#define AFTER_IDLE PIN
#define AFTER_PIN WRITTEN
#define AFTER_WRITTEN SINK
#define AFTER_SINK SEGMENT
#endif
#ifdef BUG_SEGMENT_UNSYNCED
#define AFTER_SEGMENT MANIFEST
#else
#define AFTER_SEGMENT SYNC_SEGMENT
#endif
#ifdef BUG_NAMES_UNSYNCED
#define AFTER_MANIFEST RENAME
#else
#define AFTER_MANIFEST SYNC_NAMES
#endif
#ifdef BUG_SEND_BEFORE_RENAME
#define AFTER_SYNC_NAMES SEND
#define AFTER_SEND RENAME
#define AFTER_FORGET IDLE
#else
#define AFTER_SYNC_NAMES RENAME
#define AFTER_SEND IDLE
#define AFTER_FORGET SEND
#endif
#ifdef BUG_RENAME_UNSYNCED
#define AFTER_RENAME FORGET
#else
#define AFTER_RENAME SYNC_RENAME
#endif

#define ENDED	(note[current] == RECORDS)
#ifdef BOX
#ifdef BUG_OTHER_CUT
#define OFFERED	true
#else
#define OFFERED	(boxTo == note[current])	/* the output has put the rows of the cut into the outbox */
#endif
#define BOXED	(boxTo == RECORDS)
#define WAITS	(boxFrom < boxTo)
#else
#define OFFERED	true
#define BOXED	true
#define WAITS	false
#endif
#ifdef SINKS
#define CLOSES	(written == WINDOWS)
#define NEWER	(written != gen[newest].written)
#else
#define CLOSES	true
#define NEWER	false
#endif
#define THROUGH	(BOXED && CLOSES)
#define CHANGED	(note[current] != gen[newest].position || WAITS || NEWER)

/* A slot that nobody needs is as it was at first, so that there are fewer states. */
inline clearSlots()
{
	for (x : 0 .. SLOTS - 1) {
		if
		:: x != current && x != pinned -> note[x] = 0; image[x] = 0
		:: else
		fi
	}
}

/* Reader, router and partition. */
proctype Ingest()
{
end:
	do
	:: atomic { read < RECORDS ->
		read++;
		assert((rows & ROW(read)) == 0);
		rows = rows | ROW(read)
	}
	:: d_step { read > note[current] ->	/* an epoch */
		rows = rows & ~ROWS(0, 2 * written);	/* panes of written windows are dropped */
		x = 0;
		do
		:: x == current || x == pinned -> x++
		:: else -> break
		od;
		image[x] = rows;
		note[x] = read;
#ifdef BUG_POSITION_OF_HELD_BATCH
		note[x] = (read < RECORDS -> read + 1 : read);	/* the reader has given a record that is not routed */
#endif
		current = x;
		clearSlots();
		skip
	}
	od
}

proctype Output()
{
end:
	do
#ifdef BOX
	:: atomic { boxTo < note[current] -> boxTo = note[current] }
#endif
#ifdef SINKS
	:: atomic { out < CLOSED(note[current]) ->
		out++;	/* writeCut, endWindow */
		assert((image[current] & WINDOW(out)) == WINDOW(out));
		written = out
	}
#ifdef NAMES
	:: atomic { named < out ->	/* the file gets its name */
#ifndef BUG_NAME_UNSYNCED
		safeOut = out;
#endif
		named = out
	}
#endif
#endif
	od
}

/* One call fails, or none. */
#define MAYFAIL(failed)	if :: faults > 0 -> faults--; failed :: true fi

inline removeSegment(n)
{
	segments = segments & ~bit(n);
	goneSegments = goneSegments | (safeSegments & bit(n))
}

inline syncFolder()
{
	safeSegments = segments; goneSegments = 0;
	safeManifests = manifests; goneManifests = 0
}

/* forget: all but the two newest generations that are kept, and segments that those do not name. */
inline trim()
{
	y = 0; names = 0;
	x = GENERATIONS - 1;
	do
	:: x == 0 -> break
	:: else ->
		if
		:: (kept & bit(x)) && y < 2 ->
			y++;
			names = names | bit(x);
#ifndef BUG_FORGET_NAMED
			names = names | bit(gen[x].pane)
#endif
		:: (kept & bit(x)) && y == 2 ->
			kept = kept & ~bit(x);
			manifests = manifests & ~bit(x);
			goneManifests = goneManifests | (safeManifests & bit(x))
		:: else
		fi;
		x--
	od;
	for (x : 1 .. GENERATIONS - 1) {
		if
		:: (segments & bit(x)) && !(names & bit(x)) -> removeSegment(x)
		:: else
		fi
	}
	clearGenerations()
}

/* As clearSlots. */
inline clearGenerations()
{
	for (x : 1 .. GENERATIONS - 1) {
		if
		:: !((segments | manifests | goneSegments | goneManifests) & bit(x)) && x != g ->
			gen[x].rows = 0; gen[x].pane = 0; gen[x].position = 0; gen[x].written = 0; gen[x].sink = 0;
			gen[x].after = 0; gen[x].number = 0; gen[x].from = 0; gen[x].to = 0;
			syncedSegments = syncedSegments & ~bit(x); syncedManifests = syncedManifests & ~bit(x);
			tornSegments = tornSegments & ~bit(x); tornManifests = tornManifests & ~bit(x)
		:: else
		fi
	}
}

/* The oldest generation that is kept. */
inline oldest()
{
	x = 1;
	do
	:: kept & bit(x) -> break
	:: else -> x++
	od
}

/* Commit of the writer. */
inline take(n)
{
	assert((takenRows & ROWS(gen[n].from, gen[n].to)) == 0);
	takenRows = takenRows | ROWS(gen[n].from, gen[n].to);
	taken = gen[n].number
}

inline abort()
{
	d_step {
		removeSegment(g);
		g = 0;
		clearGenerations();
		step = IDLE
	}
}

proctype Keeper()
{
end:
	do
	:: atomic { step == IDLE && CHANGED && (saves < SAVES || ENDED && THROUGH) ->
		if
		:: ENDED && THROUGH
		:: else -> saves++
		fi;
		last++;
		g = last;
		step = AFTER_IDLE
	}
	:: atomic { step == IDLE && ENDED && THROUGH && !CHANGED && !HANGS -> step = DONE }
	:: atomic { step == PIN && OFFERED -> pinned = current; step = AFTER_PIN }
	:: atomic { step == WRITTEN ->
		gen[g].written = written;
		step = AFTER_WRITTEN;
#ifdef BUG_UNPINNED_EARLY
		was = pinned; pinned = NONE
#endif
	}
	:: atomic { step == SINK ->
#ifdef BOX
		gen[g].from = boxFrom;
#ifdef BUG_ROWS_OF_NEXT_CUT
		gen[g].to = boxTo;
#elif defined(BUG_OTHER_CUT)
		gen[g].to = (boxTo < note[pinned] -> boxTo : note[pinned]);
#else
		gen[g].to = note[pinned];
#endif
		gen[g].after = sent;
		gen[g].number = (gen[g].from < gen[g].to -> g : sent);
#ifdef BUG_FORGETS_BEFORE_COMMIT
		boxFrom = (boxFrom < gen[g].to -> gen[g].to : boxFrom);
#endif
#endif
		step = AFTER_SINK;
#ifdef SINKS
		safeOut = out;
		gen[g].sink = out;
#ifdef BOTH
		MAYFAIL(abort())	/* Save of one plan fails, after the rows of the other were put into the generation */
#endif
#endif
	}
	:: atomic { step == SEGMENT ->
#ifdef BUG_UNPINNED_EARLY
		pinned = was;
#endif
#ifdef BUG_POSITION_AFTER_IMAGE
		gen[g].position = read;
#else
		gen[g].position = note[pinned];
#endif
		gen[g].pane = g;
		if
		:: panes > 0 && (image[pinned] & WINDOW(1)) == WINDOW(1) && (gen[panes].rows & WINDOW(1)) == WINDOW(1) ->
			gen[g].pane = gen[panes].pane
		:: else
		fi;
#ifdef BUG_NUMBER_AGAIN
		if
		:: segments & bit(g)	/* the file is there, and its length is right */
		:: else -> gen[g].rows = image[pinned]
		fi;
#else
		assert((segments & bit(g)) == 0);
		gen[g].rows = image[pinned];
#endif
		segments = segments | bit(g);
		syncedSegments = syncedSegments & ~bit(g);
		syncedManifests = syncedManifests & ~bit(g);
		pinned = NONE;
		d_step { clearSlots(); step = AFTER_SEGMENT }
	}
	:: atomic { step == SYNC_SEGMENT ->
		step = MANIFEST;
#ifdef BUG_SYNC_AGAIN
		/* The second sync says that all is well, and what the first has lost stays lost. */
		MAYFAIL(goto unsynced);
		syncedSegments = syncedSegments | bit(g);
	unsynced: skip
#else
		syncedSegments = syncedSegments | bit(g);
		MAYFAIL(abort())
#endif
	}
	:: atomic { step == MANIFEST ->
#ifndef BUG_MANIFEST_UNSYNCED
		syncedManifests = syncedManifests | bit(g);
#endif
		step = AFTER_MANIFEST;
		MAYFAIL(abort())
	}
	:: atomic { step == SYNC_NAMES ->
		syncFolder();
		step = AFTER_SYNC_NAMES;
		MAYFAIL(abort())
	}
	:: atomic { step == RENAME ->
		manifests = manifests | bit(g);
		kept = kept | bit(g);
		newest = g;
#ifdef BUG_FORGET_EARLY
		d_step { trim(); skip };
#endif
		step = AFTER_RENAME
	}
	:: atomic { step == SYNC_RENAME ->
		if
		:: faults > 0 ->	/* ErrTorn */
			faults--;
#ifdef BUG_TORN_IS_ABORTED
			abort();
#endif
			step = IDLE
		:: true ->
			syncFolder();
			step = FORGET
		fi
	}
	:: atomic { step == FORGET ->
		durable = g;
		panes = g;
		d_step { trim(); skip };
		step = AFTER_FORGET;
#ifdef BOX
		boxFrom = (boxFrom < gen[g].to -> gen[g].to : boxFrom);
#endif
#ifdef BUG_TELL_NEWEST
		told = gen[newest].position
#else
		d_step { oldest(); told = gen[x].position }
#endif
	}
	:: atomic { step == SEND ->
		step = AFTER_SEND;
#ifdef BOX
		if
		:: gen[g].number != sent ->
			if
#ifdef BUG_SAVES_WITHOUT_ONE
			:: hangs || crashes < CRASHES ->
				hangs = 1;	/* Commit never returns, and generations go on because of the other plan */
				sent = g	/* their rows are to follow */
#endif
			:: faults > 0 && !HANGS ->	/* it has the rows, or not, and does not say so */
				faults--;
				if
				:: take(g)
				:: true
				fi;
#ifndef BUG_GOES_ON_WITHOUT
				step = FAILED	/* Engine.fail */
#endif
			:: !HANGS ->
				take(g);
				sent = taken
			fi
		:: else
		fi
#endif
	}
	od
}

/* The power fails: of the names that were not synced any may be there, and what was not synced is torn. */
inline powerFails()
{
	choose(segments, safeSegments, goneSegments);
	choose(manifests, safeManifests, goneManifests);
	tornSegments = tornSegments | (segments & ~syncedSegments);
	tornManifests = tornManifests | (manifests & ~syncedManifests);
	syncFolder();
	do
	:: out > safeOut -> out--
	:: break
	od
}

inline choose(names, safe, gone)
{
	for (x : 1 .. GENERATIONS - 1) {
		if
		:: names & ~safe & bit(x) -> names = names & ~bit(x)
		:: gone & bit(x) -> names = names | bit(x)
		:: true
		fi
	}
}

#define whole(n) (~(tornManifests | tornSegments) & segments & bit(n) && ~tornSegments & segments & bit(gen[n].pane))

#ifdef DAMAGE
#define DAMAGED damaged
#else
#define DAMAGED false
#endif

/* look and sweep */
inline openFolder()
{
	kept = 0; newest = 0; last = 0;
	x = GENERATIONS - 1;
	do
	:: x == 0 -> break
	:: else ->
		if
		:: last == 0 && (segments | manifests) & bit(x) -> last = x
		:: else
		fi;
		if
		:: manifests & bit(x) && whole(x) ->
			kept = kept | bit(x);
			newest = (newest == 0 -> x : newest)
		:: manifests & bit(x) && !whole(x) -> assert(newest > 0 || DAMAGED)
		:: else
		fi;
		x--
	od;
	assert(newest >= durable || DAMAGED);
	assert(newest > 0);
#ifdef BUG_GENERATION_BEFORE
	kept = (kept & ~bit(newest) -> kept & ~bit(newest) : kept);
	x = GENERATIONS - 1;
	do
	:: kept & bit(x) -> newest = x; break
	:: else -> x--
	od;
#endif
	durable = newest;
#ifndef BUG_NAMES_FOUND_UNSYNCED
	syncFolder();	/* the process before may have ended between the rename and its sync */
#endif
#ifdef BUG_NUMBER_AGAIN
	last = newest;
#else
	trim();
#endif
}

/* restore */
inline restore()
{
	d_step {
		openFolder();
		assert(gen[newest].position >= told);
		read = gen[newest].position;
		current = 0; pinned = NONE;
		rows = (gen[newest].rows & ~WINDOW(1)) | (gen[gen[newest].pane].rows & WINDOW(1));
		note[0] = read; image[0] = rows;
		clearSlots();
		panes = 0; step = IDLE; g = 0;
#ifdef BUG_SAVES_WITHOUT_ONE
		hangs = 0;
#endif
#ifdef BOX
		boxFrom = read; boxTo = read;
		sent = taken;
		last = (last < taken -> taken : last);
		assert(taken <= gen[newest].number);
#ifndef BUG_NOT_SENT_AGAIN
		/* resend: the generations that the writer lacks */
		names = 0; y = gen[newest].number;
		x = GENERATIONS - 1;
		do
		:: x == 0 || y == taken -> break
		:: else ->
			if
			:: kept & bit(x) && gen[x].number == y && gen[x].after < y -> names = names | bit(x); y = gen[x].after
			:: else
			fi;
			x--
		od;
		assert(y == taken);
		for (x : 1 .. GENERATIONS - 1) {
			if
			:: names & bit(x) -> take(x)
			:: else
			fi
		}
		sent = taken;
#endif
#endif
#ifndef SINKS
#elif defined(PLAIN)
		out = gen[newest].written;
		written = out;
#else
		/* Recover: the file is cut off after the last window that it has for good. */
		assert(out >= named && (out >= gen[newest].sink || named > gen[newest].sink));
		out = (named > gen[newest].sink -> named : gen[newest].sink);
		safeOut = out;
		assert(out >= gen[newest].written);
		written = out;
#endif
		x = 0; y = 0; names = 0
	}
}

init
{
	atomic {
		gen[1].pane = 1;
		segments = bit(1); manifests = bit(1);
		syncedSegments = bit(1); syncedManifests = bit(1);
		durable = 1;
		syncFolder();
		restore();
		run Ingest();
		run Output();
		run Keeper()
	};
	do
	:: atomic { crashes < CRASHES && step != DONE ->
		crashes++;
		if
		:: powerFails()
		:: true	/* the process alone has ended */
		fi;
#ifdef DAMAGE
		if
		:: !damaged && durable > 1 ->
			damaged = 1;
			x = GENERATIONS - 1;
			do
			:: manifests & bit(x) -> break
			:: else -> x--
			od;
			tornSegments = tornSegments | bit(x)
		:: true
		fi;
#endif
		restore()
	}
	:: atomic { step == FAILED -> restore() }
	:: step == DONE -> break
	od;
#ifdef BOX
	assert(takenRows == ROWS(0, RECORDS));
#endif
#ifdef SINKS
	assert(out == WINDOWS);
#endif
	skip
}
