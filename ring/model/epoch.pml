/* Epochs: Epochs.Want, Raise, Answer, Pin and Unpin of core/epoch/epoch.go. Partitions fill the slot of the epoch in flight and answer;
   goroutines want epochs and wait for them; another pins the current slot, looks twice at what is in it, and lets go. A raise that is lost is a
   goroutine that waits for ever. */

#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef WANTS
#define WANTS 1
#endif
#ifndef PINS
#define PINS 1
#endif
#ifndef PARTITIONS
#define PARTITIONS 1
#endif
#define NONE 255

#define word(n, s)	((n) * 4 + (s))
#define number(w)	((w) / 4)
#define slotof(w)	((w) % 4)

byte raised, current;	/* a number and a slot in one word */
byte finished, wanted;
byte left = PARTITIONS;
bit noslot;		/* Epochs.full */
byte refs[SLOTS];
byte content[SLOTS * PARTITIONS];	/* the epoch of each image */

/* Epochs.free: current first, then the references, one after the other. */
inline free()
{
	cur = slotof(current);
	s = NONE;
	i = 0;
	do
	:: i == SLOTS || s != NONE -> break
	:: else ->
		if
#ifdef BUG_TAKE_CURRENT
		:: refs[i] == 0 -> s = i
		:: else
#elif defined(BUG_IGNORE_REFS)
		:: i != cur -> s = i
		:: else
#else
		:: i != cur && refs[i] == 0 -> s = i
		:: else
#endif
		fi;
		i++
	od
}

inline Raise()
{
	do
	:: r = raised;
		if
		:: finished != number(r) -> break
		:: else
		fi;
		if
		:: wanted <= number(r) -> break
		:: else
		fi;
		free();
		if
		:: s == NONE ->
#ifdef BUG_FULL_LATE
			noslot = 1;
			break
#else
			noslot = 1;
			free();
			if
			:: s == NONE -> break
			:: else
			fi
#endif
		:: else
		fi;
		if
		:: atomic { raised == r -> raised = word(number(r) + 1, s) };
#ifdef BUG_RAISE_CLEARS
			noslot = 0;
#endif
			break
		:: else		/* somebody else has raised */
		fi
	od
}

proctype Partition(byte p)
{
	byte answered, r, s, i, cur, l;
end:
	do
	:: number(raised) > answered ->
		answered++;
#ifdef BUG_CURRENT_EARLY
		current = raised;
#endif
		content[slotof(raised) * PARTITIONS + p] = answered;
		/* Answer */
		atomic { left--; l = left };
		if
		:: l == 0 ->
			left = PARTITIONS;
			current = raised;
#ifdef BUG_WANTED_FIRST
			l = (wanted > number(raised));
			finished = number(raised);
			if
			:: l -> Raise()
			:: else
			fi
#else
			finished = number(raised);
#ifndef BUG_FINISH_BLIND
			Raise()
#endif
#endif
		:: else
		fi
	od
}

proctype Wanter(byte wants)	/* so many epochs, one after the other */
{
	byte k, n, r, s, i, cur;
	do
	:: k == wants -> break
	:: else ->
		k++;
		n = number(raised) + 1;
#ifdef BUG_WANT_LATE
		Raise();
#endif
		atomic { wanted = (wanted < n -> n : wanted) };
#ifndef BUG_WANT_LATE
		Raise();
#endif
		finished >= n	/* waits */
	od
}

inline Unpin(slot)
{
	atomic { refs[slot]--; l = refs[slot] };
#ifndef BUG_UNPIN_BLIND
	if
	:: l == 0 && noslot -> noslot = 0; Raise()
	:: else
	fi
#endif
}

proctype Pinner(byte pins)
{
	byte k, c, last, l, r, s, i, cur;
	do
	:: k == pins -> break
	:: else ->
		/* Pin */
		c = current;
		refs[slotof(c)]++;
		if
#ifdef BUG_NO_SECOND_LOOK
		:: true ->
#else
		:: current == c ->
#endif
			k++;
			l = content[slotof(c) * PARTITIONS];
			assert(l == content[slotof(c) * PARTITIONS + PARTITIONS - 1]);
			assert(l >= last);
			assert(l == number(c));
			last = l;
			assert(l == content[slotof(c) * PARTITIONS])	/* nobody has changed it meanwhile */
#ifndef BUG_NO_SECOND_LOOK
		:: else
#endif
		fi;
		Unpin(slotof(c))
	od
}

init
{
	atomic {
		run Partition(0);
#if PARTITIONS > 1
		run Partition(1);
#endif
		run Wanter(WANTS);
		run Wanter(1);
		run Pinner(PINS)
	}
}
