/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two VMs with one region: a model of decision 55 that spin searches completely, within the bounds below.
 * The manager may die before any of its steps, and so may the managers that come after it.
 *
 * What is true in each state:
 *   - pages that the resource manager (RM) has given to the two guests are pinned and guarded;
 *   - a VMID in the list of a parcel is not deallocated before RM has taken the parcel back, so that no other VM gets it;
 *   - a guest that joins is started only with a VMID of the parcel that its machine has found.
 * What is true at the end: the pages are Linux's again, and RM has neither a parcel nor a VMID in use.
 *
 * RM does a request and answers it in one step here, and each machine has only the region: crash.pml has requests that
 * outlive a manager, handles, files and RAM. -DBREAK_... makes one step wrong, and -DREACH_... takes something that has to
 * be possible for a violation; model.sh demands that spin finds each.
 */
#define VMIDS 4 /* numbered from 1; 0 is none */
#define NONE 0

#ifndef DEATHS
#define DEATHS 2 /* of managers */
#endif
#ifndef STARTS
#define STARTS 3 /* of the two VMs together, so that one of them starts again */
#endif
#define TROUBLES 1 /* requests that RM refuses, or executes without an answer */

mtype = { ALLOCATE, DEALLOCATE, SHARE, RECLAIM, START, STOP };

/* ---- what the kernel knows ---- */
mtype:pin = { FREE, HELD, GUARDED };
mtype:pin pin = FREE;
byte tag_vmid, tag_with;

/* ---- what RM knows ---- */
mtype:vm = { UNUSED, LOADED, RUNNING, RESET };
mtype:vm vm[VMIDS + 1] = UNUSED;
byte first, second; /* the parcel's list; NONE: there is no parcel */
byte troubles;

#define OK 1
#define REFUSED 2
#define INVALID 3 /* RM knows no such VMID or pages */
#define SILENT 4

/* ---- what the manager knows of the pair, under the ledger's lock; gone with the manager ---- */
mtype:pair = { NOBODY, MAKING, RESERVED, JOINED, SPENT, CLOSING };
mtype:pair pair = NOBODY;
byte reserved, maker;
bool used[VMIDS + 1]; /* by a machine */

byte starts, deaths, living = 2; /* processes of the first manager that are not done */
bool dead, kill_manager, all_done;

#define is_listed(v) (first != NONE && (first == (v) || second == (v)))
#define is_used(v) (vm[v] == RUNNING)

inline execute(what, a, b)
{
	if
	:: what == ALLOCATE ->
		answer = 1;
		do
		:: answer <= VMIDS && vm[answer] != UNUSED -> answer++
		:: else -> break
		od;
		assert(answer <= VMIDS); /* enough for all, so one is missing if there is a leak */
		assert(!is_listed(answer));
		vm[answer] = LOADED;
		got = answer;
		answer = OK
	:: what == DEALLOCATE ->
		if
		:: vm[a] == LOADED || vm[a] == RESET ->
			assert(!is_listed(a)); /* else the next VM of that number gets the pages */
			vm[a] = UNUSED;
			answer = OK
		:: vm[a] == RUNNING -> answer = REFUSED
		:: else -> answer = INVALID
		fi
	:: what == SHARE ->
		first = a;
		second = b;
		assert(pin == GUARDED);
		answer = OK
	:: what == RECLAIM ->
		if
		:: first == NONE -> answer = INVALID
		:: first != NONE && (is_used(first) || is_used(second)) -> answer = REFUSED
		:: else -> first = NONE; second = NONE; answer = OK
		fi
	:: what == START ->
		if
		:: vm[a] == LOADED -> vm[a] = RUNNING; answer = OK
		:: else -> answer = REFUSED
		fi
	:: what == STOP -> /* and RESET */
		if
		:: vm[a] == RUNNING -> vm[a] = RESET; answer = OK
		:: vm[a] == UNUSED -> answer = INVALID
		:: else -> answer = OK
		fi
	fi
}

inline ask(what, a, b)
{
	atomic {
		if
		:: troubles < TROUBLES -> troubles++; answer = REFUSED
		:: execute(what, a, b);
		   if
		   :: troubles < TROUBLES && what != ALLOCATE -> troubles++; answer = SILENT
		   :: skip
		   fi
		fi
	}
}

/*
 * A VMID that is in use here is not taken: RM has executed a DEALLOCATE that it did not answer, and the machine that has
 * sent it will send it again. Only a third VM could get such a VMID, so no BREAK_... is of this.
 */
inline allocate(v)
{
	atomic {
		ask(ALLOCATE, NONE, NONE);
		if
		:: answer == OK && !used[got] -> v = got
		:: else -> failed = true
		fi;
		used[v] = (v != NONE);
		answer = NONE;
		got = NONE
	}
}

/* Until RM has said that it is so. */
inline ask_until(what, a)
{
	do
	:: atomic {
		ask(what, a, NONE);
		if
		:: answer == SILENT || answer == REFUSED -> answer = 0
		:: else -> answer = 0; break
		fi
	   }
	od
}

inline unguard()
{
	assert(first == NONE); /* RM has none of the pages */
	atomic { pin = HELD; tag_vmid = NONE; tag_with = NONE }
}

/*
 * RM's answer and the ledger's note of it are one step, under the lock that orders numbers: else RM gives the VMID
 * to a machine that takes it for one in use.
 */
inline deallocate(v)
{
	do
	:: v == NONE -> break
	:: atomic {
		v != NONE -> ask(DEALLOCATE, v, NONE);
		if
		:: answer == SILENT || answer == REFUSED -> answer = NONE
		:: else -> answer = NONE; used[v] = false; break
		fi
	   }
	od
}

/* ---- the machine that is built first: it makes the parcel, for both ---- */

inline make()
{
	pin = HELD;
	allocate(mine);
	if
	:: !failed -> allocate(with)
	:: else -> skip
	fi;
	if
	:: !failed ->
#ifdef BREAK_TAG_ALONE
		atomic { pin = GUARDED; tag_vmid = mine; tag_with = NONE };
#else
		atomic { pin = GUARDED; tag_vmid = mine; tag_with = with };
#endif
		atomic { ask(SHARE, mine, with); failed = (answer != OK); answer = 0 }
	:: else -> skip
	fi;
	if
	:: !failed ->
		atomic { reserved = with; pair = RESERVED };
		ask(START, mine, NONE)
	:: else -> skip
	fi
}

inline unmake()
{
	if
	:: mine != NONE -> ask_until(STOP, mine)
	:: else -> skip
	fi;
	/* no VM may join from here on; a machine that has joined is waited for */
	if
	:: atomic { pair == RESERVED || pair == MAKING -> pair = CLOSING }
	:: pair == SPENT -> skip
#ifdef BREAK_NOT_AWAITED
	:: pair == JOINED -> skip
#endif
	fi;
	if
	:: pin == GUARDED ->
#ifdef BREAK_NOT_AWAITED
		ask(RECLAIM, NONE, NONE);
#else
		ask_until(RECLAIM, NONE);
#endif
#ifdef BREAK_DEALLOCATE_FIRST
	:: pin == GUARDED -> deallocate(with); with = NONE; ask_until(RECLAIM, NONE)
#endif
	:: else -> skip
	fi;
	unguard();
	deallocate(mine);
	deallocate(with);
	atomic { pin = FREE; reserved = NONE; pair = NOBODY }
}

/* ---- the machine that joins ---- */

inline join()
{
	assert(is_listed(mine));
#ifdef REACH_BOTH
	assert(vm[first] != RUNNING)
#endif
	ask(START, mine, NONE);
#ifdef REACH_OUTLIVES
	if
	:: vm[mine] == RUNNING && vm[first] == RESET -> assert(false)
	:: else -> skip
	fi;
#endif
	ask_until(STOP, mine);
#ifdef BREAK_FREE_SECOND
	ask_until(DEALLOCATE, mine);
#endif
	pair = SPENT
}

proctype Machine(byte id)
{
	byte answer, got, mine, with;
	bool failed;

	{
		do
		:: atomic { starts < STARTS -> starts++ };
			if
			:: atomic { pair == NOBODY -> pair = MAKING; maker = id };
			   make();
			   unmake();
#ifdef REACH_ALONE
			   assert(failed || troubles > 0 || starts > 1 || living < 2);
#endif
			:: atomic { pair == RESERVED && maker != id -> pair = JOINED; mine = reserved };
			   join()
#ifdef BREAK_JOIN_CLOSED
			:: atomic { pair == CLOSING && maker != id && reserved != NONE -> mine = reserved };
			   join()
#endif
			:: skip /* it does not start, or is refused: the other machine begins or ends now, or one has ended */
			fi;
			atomic { failed = false; mine = NONE; with = NONE; answer = 0; got = 0 }
		:: break
		od;
		living--
	} unless { dead }
}

/* ---- a later manager: it knows the tag, and the states of all VMIDs ---- */

inline recover()
{
	for (v : 1 .. VMIDS) {
		if
		:: vm[v] != UNUSED -> ask_until(STOP, v)
		:: else -> skip
		fi
	}
	for (v : 1 .. VMIDS) {
		if
		:: vm[v] != UNUSED && tag_vmid != v && tag_with != v -> deallocate(v)
		:: else -> skip
		fi
	}
	if
	:: pin == GUARDED -> ask_until(RECLAIM, NONE); unguard()
	:: else -> skip
	fi;
	pin = FREE;
	for (v : 1 .. VMIDS) {
		if
		:: vm[v] != UNUSED -> deallocate(v)
		:: else -> skip
		fi
	}
}

active proctype Later()
{
	byte answer, got, v;

	if
	:: dead -> skip
	:: atomic { living == 0 && !dead -> all_done = true; goto done }
	fi;
again:
	{
		recover();
		all_done = true;
		goto done
	} unless {
		atomic { kill_manager -> kill_manager = false; answer = 0; got = 0; v = 0 }
	};
	goto again;
done:
	assert(first == NONE && second == NONE);
	assert(pin == FREE);
	assert(vm[1] == UNUSED && vm[2] == UNUSED && vm[3] == UNUSED && vm[4] == UNUSED)
}

inline drop_held()
{
	if
	:: pin == HELD -> pin = FREE
	:: else -> skip
	fi
}

inline forget() /* what only the manager knew */
{
	pair = NOBODY; reserved = NONE; maker = 0;
	used[1] = false; used[2] = false; used[3] = false; used[4] = false
}

active proctype Death()
{
end:
	do
	:: atomic { deaths < DEATHS && !all_done && !dead -> deaths++; dead = true; drop_held(); forget() }
	:: atomic { deaths < DEATHS && !all_done && dead && !kill_manager -> deaths++; kill_manager = true; drop_held() }
	:: break
	od
}

init
{
	atomic { run Machine(0); run Machine(1) }
}

active proctype Watch()
{
end:
	do
	:: atomic { first != NONE && pin != GUARDED -> assert(false) }
	od
}
