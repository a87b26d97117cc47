/* Two runners over one ring, each with its doorbell: engine/bell.go, runner.loop and runner.park of engine/runner.go. The producer's
   runner parks when the ring is full, the consumer's when it is empty. Somebody may stop both at any time, as Engine.halt does.
   A runner that sleeps for ever is an end that is not valid. */

#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef ITEMS
#define ITEMS 3
#endif

#define AWAKE 0
#define PARKED 1
#define P 0	/* the producer's runner */
#define C 1	/* the consumer's */

byte tail, head;
bit closing;
bit state[2];	/* bell.state: the futex word */
bit sleeping[2];	/* the kernel's queue */
byte produced, consumed;

/* futexWake: whoever sleeps goes on. */
inline wake(who) { sleeping[who] = 0 }

/* bell.Wake and rouse, after a publication */
inline ring(who)
{
#ifdef BUG_WAKE_WITHOUT_STATE
	if
	:: state[who] == PARKED -> wake(who)
	:: else
	fi
#else
	if
	:: state[who] == PARKED ->
		if
		:: atomic { state[who] == PARKED -> state[who] = AWAKE }	/* CompareAndSwap */
			wake(who)
		:: else
		fi
	:: else
	fi
#endif
}

/* futexWait: sleeps only while the word is PARKED; the kernel looks and queues in one step. */
inline sleep(who)
{
	atomic {
		if
		:: state[who] == PARKED -> sleeping[who] = 1
		:: else
		fi
	};
	(!sleeping[who]);
	state[who] = AWAKE		/* retract */
}

#define canProduce (tail - head < SLOTS && produced < ITEMS)
#define canConsume (tail - head > 0)

/* A step of the producer's agent: one element, then the consumer's bell. */
inline produce()
{
#ifdef BUG_RING_BEFORE_PUBLISH
	ring(C);
	produced++;
	tail++
#else
#ifdef BUG_RING_ONLY_IF_EMPTY
	if
	:: tail == head -> produced++; tail++; ring(C)
	:: else -> produced++; tail++
	fi
#else
	produced++;
	tail++;
	ring(C)
#endif
#endif
}

inline consume()
{
	consumed++;
	head++;
#ifndef BUG_HEAD_DOES_NOT_RING
	ring(P)
#endif
}

/* runner.park: announce, one more turn, sleep. */
#ifdef BUG_LOOK_FIRST
#define PARK(who, can, step) \
	if \
	:: can || closing -> skip \
	:: else -> state[who] = PARKED; sleep(who) \
	fi
#else
#ifdef BUG_STOP_NOT_LOOKED_AT
#define PARK(who, can, step) \
	state[who] = PARKED; \
	if \
	:: can -> step; state[who] = AWAKE \
	:: else -> sleep(who) \
	fi
#else
#define PARK(who, can, step) \
	state[who] = PARKED; \
	if \
	:: can -> step; state[who] = AWAKE \
	:: else -> \
		if \
		:: closing -> state[who] = AWAKE \
		:: else -> sleep(who) \
		fi \
	fi
#endif
#endif

proctype Producing()
{
	do
	:: closing || produced == ITEMS -> break
	:: else ->
		if
		:: canProduce -> produce()
		:: else -> PARK(P, canProduce, produce())
		fi
	od
}

proctype Consuming()
{
	do
	:: closing || consumed == ITEMS -> break
	:: else ->
		if
		:: canConsume -> consume()
		:: else -> PARK(C, canConsume, consume())
		fi
	od;
	assert(closing || consumed == ITEMS)
}

/* Engine.halt: closing, then every bell; or nobody ever stops. */
proctype Halt()
{
	if
	:: skip
	:: closing = 1;
#ifndef BUG_STOP_DOES_NOT_RING
		ring(P);
		ring(C)
#endif
	fi
}

init { atomic { run Producing(); run Consuming(); run Halt() } }
