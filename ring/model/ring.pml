/* The ring: Producer and Consumer of ring/ring.go, element by element.
   Shared: tail, head, closed (atomics), slot (plain). Private: next, seen, published of either side. */

#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef ITEMS
#define ITEMS 5
#endif
#ifndef LAZY
#define LAZY 2		/* lazySlots: elements to a publication */
#endif

byte tail, head;
bit closed;
byte slot[SLOTS];
bit writing[SLOTS], reading[SLOTS];	/* who is in a slot: a ghost */

proctype Producer()
{
	byte next = 0, seen = 0, published = 0;

	do
	:: next < ITEMS ->
		/* Push: room as far as is known, else fullAfterFlush: Flush, then refreshHead */
#ifdef BUG_ROOM_OFF_BY_ONE
		if
		:: next - seen <= SLOTS -> skip
		:: else ->
#else
		if
		:: next - seen < SLOTS -> skip
		:: else ->
#endif
#ifndef BUG_FULL_WITHOUT_FLUSH
			if
			:: published != next -> published = next; tail = next
			:: else
			fi;
#endif
			/* The caller tries again until there is room. */
			(head + SLOTS > next);
			seen = head
		fi;
#ifdef BUG_TAIL_BEFORE_SLOT
		if
		:: (next + 1) % LAZY == 0 -> published = next + 1; tail = next + 1
		:: else
		fi;
#endif
		assert(!reading[next % SLOTS]);
		writing[next % SLOTS] = 1;
		slot[next % SLOTS] = next + 1;
		writing[next % SLOTS] = 0;
		next++;
#ifndef BUG_TAIL_BEFORE_SLOT
		if
		:: next % LAZY == 0 -> published = next; tail = next
		:: else
		fi
#endif
	:: else -> break
	od;
	/* Close: Flush, then closed */
#ifdef BUG_CLOSE_BEFORE_FLUSH
	closed = 1;
#endif
#ifndef BUG_NO_FLUSH_AT_CLOSE
	if
	:: published != next -> published = next; tail = next
	:: else
	fi;
#endif
#ifndef BUG_CLOSE_BEFORE_FLUSH
	closed = 1
#endif
}

proctype Consumer()
{
	byte next = 0, seen = 0, published = 0, v;
	bit wasClosed;

	do
	:: next < seen ->
		/* Pop */
#ifdef BUG_HEAD_BEFORE_SLOT
		head = next + 1;
#endif
		assert(!writing[next % SLOTS]);
		reading[next % SLOTS] = 1;
		v = slot[next % SLOTS];
		reading[next % SLOTS] = 0;
		assert(v == next + 1);		/* nothing lost, nothing twice, in order */
		next++;
#ifndef BUG_HEAD_BEFORE_SLOT
		if
		:: next % LAZY == 0 -> published = next; head = next
		:: else
		fi
#endif
	:: else ->
		/* emptyAfterFlush: Flush, then refreshTail; then Drained */
#ifndef BUG_EMPTY_WITHOUT_FLUSH
		if
		:: published != next -> published = next; head = next
		:: else
		fi;
#endif
#ifdef BUG_TAIL_BEFORE_CLOSED
		seen = tail;
		wasClosed = closed;
#else
		wasClosed = closed;
		seen = tail;
#endif
		if
		:: wasClosed && seen == next -> break
		:: !wasClosed && seen == next -> (tail != next || closed)	/* looks again until there is something */
		:: seen != next
		fi
	od;
	assert(next == ITEMS)
}

init { atomic { run Producer(); run Consumer() } }
