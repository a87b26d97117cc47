/* A pump waits for a free batch: pump.take of engine/source.go and wakeup.wake of engine/wakeup.go. The source gives batches back through a ring, whose
   published count is given; the pump sleeps on a channel with room for one wake-up, and on its context. */

#ifndef BATCHES
#define BATCHES 3
#endif

byte given;		/* tail of the ring of free batches */
byte taken;
bit waiting;		/* wakeup.waiting */
bit done;		/* the context */
chan freed = [1] of { bit };

proctype Pump()
{
	do
	:: taken == BATCHES || done -> break
	:: else ->
		if
		:: given > taken -> taken++
		:: else ->
#ifdef BUG_LOOK_FIRST
			if
			:: given == taken ->
				waiting = 1;
#else
			waiting = 1;
			if
			:: given == taken ->	/* free.Empty, after the announcement */
#endif
				if
				:: freed?_
				:: done -> break
				fi
			:: else
			fi;
			waiting = 0
		fi
	od
}

proctype Source()
{
	byte i;

	do
	:: i < BATCHES ->
#ifdef BUG_RING_BEFORE_PUBLISH
		if
		:: waiting -> if :: nfull(freed) -> freed!1 :: full(freed) fi
		:: else
		fi;
		given++;
#else
		given++;
#ifdef BUG_CHANNEL_WITHOUT_ROOM
		if
		:: waiting -> if :: empty(freed) && waiting == 0 -> freed!1 :: else fi
		:: else
		fi;
#else
		if
		:: waiting -> if :: nfull(freed) -> freed!1 :: full(freed) fi
		:: else
		fi;
#endif
#endif
		i++
	:: else -> break
	od
}

/* The engine stops, or does not. */
proctype Stop()
{
	if
	:: skip
	:: done = 1
	fi
}

init { atomic { run Pump(); run Source(); run Stop() } }
