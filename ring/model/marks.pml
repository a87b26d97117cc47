/* Marks: how the marks of an epoch go through the rings and are aligned. Router.Step, startMarks and mark of core/router.go and core/time.go;
   scatter, openChunk and commit of core/scatter.go; Partition.Step and drain of core/partition.go; publish, catchUp and resume of
   core/partition_epoch.go; who answers last, in Answer of core/epoch/epoch.go.
   Two readers with a router each, two partitions, and between each two a ring. Rows are numbered by reader, and go where they like. Somebody looks
   at the cuts: each has, of each reader, the rows before its mark and no other. Who cannot do a step waits for one that he can do; an
   epoch that is never answered is a state without an end.
   With MOVE rows are of two shards, and at that epoch one of them goes from partition 0 to 1: handOver of core/handover.go, turn of core/owners.go.
   With NOIMAGE partitions, a bit each, may have no memory for their image of that epoch: it has no cut then. Where that is the old owner (NOIMAGE=1),
   it lends its live table to the new one, and does not change it until that has read it: takeBack. Without that (BUG_NOT_LENT, as it once was) rows
   are lost.
   With SHARED router and partition 0 are stepped on one thread, and 1 on another: a router then applies rows in place where the ring is empty.

   The rings are channels: ring.pml has them. Nobody is asleep: bell.pml. The raise and the pin are one step each: epoch.pml. An agent's step is
   here several; others on its thread may come between them. A router may publish an open chunk at any time. */

#ifndef SLOTS
#define SLOTS 1		/* of a ring */
#endif
#ifndef EPOCHS
#define EPOCHS 2	/* at most, before the last */
#endif
#ifndef ROWS
#define ROWS 2		/* of reader 0, at most 4 */
#endif
#ifndef OTHERS
#define OTHERS 1	/* of reader 1 */
#endif
#define READERS 2
#define PARTITIONS 2
#define NONE 255

/* A chunk: its kind; its rows, a bit each, or the reader's count. */
#define PLAIN 0
#define END 1
#define MARK(n) (2 + (n))
chan ring[READERS * PARTITIONS] = [SLOTS] of { byte, byte };
#define between(r, p) ring[(r) * PARTITIONS + (p)]

/* Something of both readers in a byte, four bits each. */
#define both(r, v)	((v) << (4 * (r)))
#define one(r, w)	(((w) >> (4 * (r))) & 15)
#define below(r, w)	both(r, (1 << one(r, w)) - 1)	/* the rows of a count */

/* Epochs. Two slots in turn, and that of the last. */
#define LAST 2
byte raised, slot;	/* Epochs.raised */
byte current, cut;	/* Epochs.current: the number, the slot */
byte finished;
byte readers = READERS;
byte left = PARTITIONS;
byte refs[LAST + 1];

/* Tables: each partition has three, by turns live or the image of a slot. */
#define TABLES 3
byte rows[PARTITIONS * TABLES];		/* of both readers */
byte counters[PARTITIONS * TABLES];	/* the same, as of the marks: of an image */
byte images[(LAST + 1) * PARTITIONS];	/* by slot and partition: a table */
#define table(p, t)	((p) * TABLES + (t))
#define image(s, p)	images[(s) * PARTITIONS + (p)]

#ifdef MOVE
byte moves;		/* the rows of the shard, of both readers */
bit handed;		/* Cuts.handed */
#endif
#ifdef NOIMAGE
bit lacking;		/* Epochs.lacking */
#endif

hidden byte kind, v;	/* within one step */

/* kernel.apply: each row once. */
inline apply(r, p, set)
{
	assert((rows[table(p, live)] & both(r, set)) == 0);
	rows[table(p, live)] = rows[table(p, live)] | both(r, set)
}

/* The router of the reader id. */

#define ROUTER \
	byte sent;		/* Counters.In */ \
	byte hand = NONE;	/* where the row goes that has been taken */ \
	byte open[PARTITIONS];	/* the rows of the open chunks; their slots are reserved, but for those beside the ring */ \
	bit beside[PARTITIONS]; \
	byte epoch; \
	bit moved;		/* Router.owners */ \
	bit ended, marking, away; \
	byte marked

#ifdef SHARED
#ifdef BUG_OVERTAKES
#define inPlace(p) ((p) == id)
#else
#define inPlace(p) ((p) == id && empty(between(id, p)))
#endif
#else
#define inPlace(p) false
#endif

inline commit(p)
{
#ifdef SHARED
	if
	:: beside[p] -> apply(id, p, open[p])	/* Partition.applyDirect */
	:: !beside[p] -> between(id, p)!PLAIN, open[p]
	fi;
	beside[p] = 0;
#else
	between(id, p)!PLAIN, open[p];
#endif
	open[p] = 0
}

#define canScatter (hand != NONE && (open[hand] || inPlace(hand) || nfull(between(id, hand))))

/* One row into the open chunk. */
inline scatter()
{
	if
	:: open[hand] == 0 && inPlace(hand) -> beside[hand] = 1	/* openChunk */
	:: else
	fi;
	open[hand] = open[hand] | (1 << sent);
	sent++;
	hand = NONE
}

/* Between two batches: an epoch that was raised comes first. */
inline look()
{
	if
	:: raised > epoch -> epoch = raised; marking = 1	/* startMarks */
	:: else ->
		if
		:: sent == (id == 0 -> ROWS : OTHERS) -> ended = 1; marking = 1
		:: sent < (id == 0 -> ROWS : OTHERS) -> hand = 0
#ifdef MOVE
		:: sent < (id == 0 -> ROWS : OTHERS) -> moves = moves | both(id, 1 << sent); hand = moved
#else
		:: sent < (id == 0 -> ROWS : OTHERS) -> hand = 1
#endif
		fi
	fi
}

#define canMark (marking && (marked == PARTITIONS || open[marked] || nfull(between(id, marked))))

/* One mark, behind the open chunk; then all have got theirs. */
inline mark()
{
	if
	:: marked == PARTITIONS ->
		marked = 0;
		marking = 0;
		if
		:: ended -> away = 1; readers--		/* Leave */
#if defined(MOVE) && !defined(BUG_OWNERS_LATER)
		:: !ended && epoch == MOVE -> moved = 1
#elif defined(MOVE)
		:: !ended && epoch == MOVE + 1 -> moved = 1
#endif
		:: else
		fi
#ifndef BUG_OPEN_CHUNK_LATER
	:: marked < PARTITIONS && open[marked] -> commit(marked)
	:: marked < PARTITIONS && !open[marked] ->
#else
	:: marked < PARTITIONS ->
#endif
		if
		:: ended -> between(id, marked)!END, sent
		:: else -> between(id, marked)!MARK(epoch), sent
		fi;
		marked++
	fi
}

#ifdef BUG_ROWS_AMONG_MARKS
#define busy (marking && (marked == 0 || sent == (id == 0 -> ROWS : OTHERS)))
#else
#define busy marking
#endif

#ifdef BUG_MARKS_WAIT
#define mayMark marking
#else
#define mayMark canMark		/* else it keeps its place and returns */
#endif

#if defined(BUG_MARKS_START_OVER)
#define STALL :: atomic { marking && marked < PARTITIONS && !open[marked] && full(between(id, marked)) -> marked = 0 }
#elif defined(BUG_MARKS_PASS_OVER)
#define STALL :: atomic { marking && marked < PARTITIONS && !open[marked] && full(between(id, marked)) -> marked++ }
#else
#define STALL
#endif

#define STEP_ROUTER \
	:: atomic { !away && mayMark -> mark() } \
	STALL \
	:: atomic { !away && !ended && !busy && hand == NONE -> look() } \
	:: atomic { !busy && canScatter -> scatter() } \
	:: atomic { !busy && open[0] -> commit(0) }	/* Router.publish: where the partition has nothing to do, or the router */ \
	:: atomic { !busy && open[1] -> commit(1) }

/* The partition id. */

#define PARTITION \
	byte live = TABLES - 1, behind = NONE, next; \
	bit gone[READERS], held[READERS]; \
	byte missing = READERS; \
	byte counts;		/* of both readers, as of their marks */ \
	byte answered;		/* Partition.epoch */ \
	byte s; \
	byte task, at, from;	/* handover, its slot, the old owner's table */ \
	bit fails; \
	bit lent; byte kept;	/* Partition.lent: the live table is in the slot for the new owner; what was there */ \
	bit done

#ifdef BUG_NOT_HELD
#define passed(r) gone[r]
#else
#define passed(r) (gone[r] || held[r])
#endif
#define canDrain(r) (!done && behind == NONE && !lent && !passed(r) && nempty(between(r, id)))

/* One chunk. */
inline drain(r)
{
	between(r, id)?<kind, v>;
	if
	:: kind == PLAIN ->
		apply(r, id, v);
		between(r, id)?_, _
	:: kind == END ->
		gone[r] = 1;
#ifndef BUG_END_IS_NO_MARK
		missing--;
#endif
		counts = (counts & both(1 - r, 15)) | both(r, v);
		between(r, id)?_, _
	:: else ->
		assert(kind == MARK(answered + 1));	/* of no other epoch */
		missing--;
		counts = (counts & both(1 - r, 15)) | both(r, v);
		held[r] = 1;
#if defined(BUG_MARK_TAKEN_OUT) || defined(BUG_NOT_HELD)
		between(r, id)?_, _
#endif
	fi
}

#ifdef BUG_HANDOVER_LATER
#define free (!done && behind == NONE)
#else
#define free (!done && behind == NONE && task == 0)
#endif

#ifdef BUG_ONE_MARK_MISSING
#define canPublish (free && missing <= 1 && raised > answered)
#elif defined(BUG_RAISE_NOT_LOOKED_AT)
#define canPublish (free && missing == 0)
#elif defined(BUG_LAST_WANTS_A_MARK)
#define canPublish (free && missing == 0 && (held[0] || held[1]))
#else
#define canPublish (free && missing == 0 && raised > answered)
#endif

inline publish()
{
	counters[table(id, live)] = counts;
#ifdef MOVE
	if
	:: answered == MOVE && s != LAST -> task = 1; at = s
	:: else
	fi;
#endif
	if
	:: s == LAST -> image(s, id) = live
#ifdef NOIMAGE
	:: s != LAST && answered == MOVE && ((NOIMAGE >> id) & 1) ->
		lacking = 1;
#ifdef BUG_NOT_LENT
		fails = 1
#else
		if
		:: id == 0 -> kept = image(s, 0); image(s, 0) = live; lent = 1
		:: else -> fails = 1
		fi
#endif
#endif
	:: s != LAST ->
		next = image(s, id);
		image(s, id) = live;
		behind = live;
		live = next;
		rows[table(id, live)] = 0;	/* it is another's still, and will be overwritten */
		next = 0
	fi
}

/* The cut becomes current, and the next epoch may be raised. */
inline Answer()
{
	left--;
	if
#ifdef NOIMAGE
	:: left == 0 && lacking -> left = PARTITIONS; lacking = 0; finished = raised
	:: left == 0 && !lacking ->
		left = PARTITIONS; current = raised; cut = slot; finished = raised
#elif defined(BUG_FIRST_MAKES_CURRENT)
	:: left == 1 -> current = raised; cut = slot
	:: left == 0 -> left = PARTITIONS; finished = raised
#else
	:: left == 0 -> left = PARTITIONS; current = raised; cut = slot; finished = raised
#endif
	:: else
	fi
}

inline release(r)
{
	if
	:: held[r] ->
		held[r] = 0;
		missing++;
#if !defined(BUG_MARK_TAKEN_OUT) && !defined(BUG_NOT_HELD)
		between(r, id)?_, _
#endif
	:: else
	fi
}

#define resume() atomic { release(0) }; atomic { release(1) }

#ifdef NOIMAGE
#define GO_ON ; if :: fails -> fails = 0; resume() :: else fi
#else
#define GO_ON
#endif

/* A piece of what is to be done for the shard. */
#ifdef MOVE
#ifdef BUG_TAKEN_EARLY
#define answeredByAll true
#else
#define answeredByAll (finished >= MOVE)
#endif
#ifdef BUG_HANDED_NOT_LOOKED_AT
#define taken true
#else
#define taken handed
#endif
#define HAND_OVER \
	:: atomic { task == 1 && id == 1 && behind == NONE && answeredByAll -> from = image(at, 0); task = 2 } \
	:: atomic { task == 2 && id == 1 && behind == NONE -> \
		assert((rows[table(1, live)] & rows[table(0, from)] & moves) == 0); \
		rows[table(1, live)] = rows[table(1, live)] | (rows[table(0, from)] & moves); \
		from = 0; task = 0; handed = 1 } \
	:: atomic { task == 1 && id == 0 && behind == NONE && !lent -> \
		rows[table(0, live)] = rows[table(0, live)] & (255 - moves); task = 2 } \
	:: atomic { task == 2 && id == 0 && taken -> task = 0 } \
	:: atomic { lent && handed -> image(at, 0) = kept; kept = 0; lent = 0 }; resume()	/* takeBack */
#else
#define HAND_OVER
#endif

#define look_at_raised() s = slot; answered++; assert(answered == raised)

#ifdef BUG_ANSWER_BEFORE_IMAGE
#define PUBLISH :: atomic { canPublish -> look_at_raised(); Answer() }; atomic { publish(); done = (s == LAST); s = 0 } GO_ON
#else
#define PUBLISH :: atomic { canPublish -> look_at_raised(); publish() }; atomic { Answer(); done = (s == LAST); s = 0 } GO_ON
#endif

#ifdef BUG_RESUME_BEFORE_CATCH_UP
#define STEP_PARTITION \
	:: atomic { canDrain(0) -> drain(0) } \
	:: atomic { canDrain(1) -> drain(1) } \
	HAND_OVER \
	PUBLISH; resume() \
	:: atomic { behind != NONE -> rows[table(id, live)] = rows[table(id, behind)]; behind = NONE }
#else
#define STEP_PARTITION \
	:: atomic { canDrain(0) -> drain(0) } \
	:: atomic { canDrain(1) -> drain(1) } \
	HAND_OVER \
	PUBLISH \
	:: atomic { behind != NONE -> rows[table(id, live)] = rows[table(id, behind)]; behind = NONE }; resume()	/* catchUp */
#endif

#ifdef SHARED
proctype Thread(byte id)
{
	ROUTER;
	PARTITION;
	do
	STEP_ROUTER
	STEP_PARTITION
	:: away && done -> break
	od
}
#else
proctype Router(byte id)
{
	ROUTER;
	do
	STEP_ROUTER
	:: away -> break
	od
}

proctype Partition(byte id)
{
	PARTITION;
	do
	STEP_PARTITION
	:: done -> break
	od
}
#endif

/* Raise: somebody wants an epoch, or does not; the last comes when all readers have left. */
proctype Raiser()
{
#ifdef BUG_RAISED_IN_FLIGHT
#define idle true
#else
#define idle (finished == raised)
#endif
#ifdef BUG_PINNED_SLOT
#define unread(s) true
#else
#define unread(s) (refs[s] == 0)
#endif
	do
	:: atomic { idle && readers > 0 && raised < EPOCHS && unread(1 - cut) -> slot = 1 - cut; raised++ }
	:: atomic { idle && readers == 0 -> slot = LAST; raised++; break }
	od
}

/* Pin, a look at both images, Unpin; until the last epoch is visible. */
proctype Query()
{
	byte seen = NONE, s, set, counts;
	do
	:: atomic {
		current != seen ->
		assert(seen == NONE || current > seen);
		seen = current;
		s = cut;
		refs[s]++;
		set = rows[table(0, image(s, 0))];
		counts = counters[table(0, image(s, 0))]
	   };
	   atomic {
		assert(counts == counters[table(1, image(s, 1))]);	/* both had the same marks */
		assert((set & rows[table(1, image(s, 1))]) == 0);	/* no row twice */
#ifdef MOVE
		assert(seen <= MOVE -> (rows[table(1, image(s, 1))] & moves) == 0 : (set & moves) == 0);	/* a shard is in one place */
#endif
		set = set | rows[table(1, image(s, 1))];
		assert(set == (below(0, counts) | below(1, counts)));	/* all rows before the marks, and no other */
		set = 0;
		refs[s]--;
		if
		:: s == LAST -> assert(counts == (both(0, ROWS) | both(1, OTHERS))); break
		:: else -> s = 0; counts = 0
		fi
	   }
	od
}

init
{
	atomic {
		images[0 * PARTITIONS] = 0;	/* the cut of epoch 0 */
		image(1, 0) = 1;
		image(1, 1) = 1;
#ifdef SHARED
		run Thread(0);
		run Thread(1);
#else
		run Router(0);
		run Router(1);
		run Partition(0);
		run Partition(1);
#endif
		run Raiser();
		run Query()
	}
}
