/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A life of one VM, in which the manager, the helper and the runner may die before any of their steps: a model that spin
 * searches completely, within the bounds below.
 *
 * What is true in each state (the process Watch):
 *   - a page that the resource manager (RM) has given to a guest is pinned, and no process of the host has it mapped;
 *   - a VMID is deallocated only when no parcel is left of it.
 * What is true at the end, however many have died, been refused or gone unanswered: each page is Linux's again, and
 * RM has neither a parcel nor a VMID in use.
 *
 * The model follows ARCHITECTURE.md, "The invariant". RM is honest here: it may refuse and may not answer, but what it
 * answers is true (test-lies has the other kind). A VM has two parcels, each lent after a SHARE and a RECLAIM of the
 * same pages (presplit). -DBREAK_... makes one step wrong; model.sh demands that spin then finds a violation.
 */
#define PARCELS 2
#define VMIDS 2 /* numbered from 1; 0 is none */

#ifndef DEATHS
#define DEATHS 2 /* of managers */
#endif
#define REFUSALS 1
#define SILENCES 1 /* requests that RM executes without an answer */

mtype = { SYNC, ALLOCATE, DEALLOCATE, SHARE, LEND, RECLAIM, LOOKUP, START, STOP };

/* ---- what the kernel knows ---- */
mtype:pin = { NONE, HELD, GUARDED };
mtype:pin pin[PARCELS] = NONE;
byte tag_vmid[PARCELS], tag_handle[PARCELS]; /* 0: none */
bool helper_fd[PARCELS], manager_fd[PARCELS];
#define is_free(p) (!helper_fd[p] && !manager_fd[p] && pin[p] == NONE)

/* ---- what RM knows ---- */
byte owner[PARCELS]; /* VMID that has the pages of a parcel; 0: the host */
byte handle[PARCELS];
byte last_handle;
bool lent[PARCELS];
mtype:vm = { UNUSED, ALLOCATED, RUNNING };
mtype:vm vm[VMIDS + 1] = UNUSED;
byte refusals, silences;

#define OK 1
#define REFUSED 0
#define INVALID 254 /* RM knows no such handle, VMID or pages */
#define SILENT 255

chan request = [2] of { mtype, byte, byte, byte };
chan reply = [4] of { byte, byte };

/* ---- what processes tell each other ---- */
bool given, helper_dies, guest_ended, all_done;
byte deaths;
bool kill_manager;

/* Finds the parcel with the handle @h, or PARCELS. */
inline find_parcel(h)
{
	i = 0;
	do
	:: i < PARCELS && (owner[i] == 0 || handle[i] != h) -> i++
	:: else -> break
	od
}

inline execute(what, a, b)
{
	if
	:: what == SYNC -> result = OK
	:: what == ALLOCATE ->
		result = 1;
		do
		:: result <= VMIDS && vm[result] != UNUSED -> result++
		:: else -> break
		od;
		if
		:: result > VMIDS -> result = REFUSED
		:: else -> vm[result] = ALLOCATED
		fi
	:: what == DEALLOCATE ->
		if
		:: vm[a] == ALLOCATED ->
			assert(owner[0] != a && owner[1] != a); /* else RM gives it to the next VM */
			vm[a] = UNUSED;
			result = OK
		:: else -> result = INVALID
		fi
	:: what == SHARE || what == LEND ->
		if
		:: owner[a] == 0 && vm[b] == ALLOCATED ->
			last_handle++;
			owner[a] = b;
			handle[a] = last_handle;
			lent[a] = (what == LEND);
			result = last_handle
		:: else -> result = REFUSED
		fi
	:: what == RECLAIM ->
		find_parcel(a);
		if
		:: i == PARCELS -> result = INVALID
		:: i < PARCELS && vm[owner[i]] == RUNNING -> result = REFUSED
		:: else ->
			owner[i] = 0;
			lent[i] = false;
			result = OK
		fi
	:: what == LOOKUP ->
		if
		:: owner[a] != 0 -> result = handle[a]
		:: else -> result = INVALID
		fi
	:: what == START ->
		if
		:: vm[a] == ALLOCATED -> vm[a] = RUNNING; result = OK
		:: else -> result = REFUSED
		fi
	:: what == STOP -> /* and RESET */
		if
		:: vm[a] == RUNNING -> vm[a] = ALLOCATED; result = OK
		:: vm[a] == ALLOCATED -> result = OK
		:: else -> result = INVALID
		fi
	fi
}

active proctype RM()
{
	mtype what;
	byte a, b, number, result, i;
end:
	do
	:: atomic {
		request?what, a, b, number;
		if
		:: refusals < REFUSALS && what != LOOKUP -> refusals++; result = REFUSED
		:: execute(what, a, b);
		   if
		   :: silences < SILENCES -> silences++; result = SILENT
		   :: skip
		   fi
		fi;
		reply!number, result;
		a = 0; b = 0; number = 0; result = 0; i = 0
	   }
	od
}

/* ---- the helper: makes memory, gives it, closes its own copy, and only then says so ---- */

active proctype Helper()
{
	byte p;

	{
		for (p : 0 .. PARCELS - 1) {
			helper_fd[p] = true;
			manager_fd[p] = true;
			helper_fd[p] = false
		}
		given = true
	} unless {
		d_step { /* the kernel closes what it has, and the manager hears of it */
			helper_dies && !given;
			helper_fd[0] = false;
			helper_fd[1] = false;
			guest_ended = true
		}
	}
}

/* ---- the runner: the guest runs until it ends or the runner dies; both look the same from here ---- */

active proctype Runner()
{
end:
	given;
	guest_ended = true
}

/* ---- the manager ---- */

inline ask(what, a, b)
{
	atomic { number++; request!what, a, b, number };
	do
	:: atomic {
		reply?to, answer;
#ifdef BREAK_ANY_REPLY
		break
#else
		if
		:: to == number -> to = 0; break
		:: else -> skip /* to a manager that is no more */
		fi
#endif
	   }
	od
}

/* Give the pages of @p to VM @v, or set failed */
inline create(what, p, v)
{
#ifndef BREAK_OLD_HANDLE
	tag_handle[p] = 0; /* the earlier parcel of the same pages is gone, but an adopter must not read so in the tag */
#endif
	ask(what, p, v);
	if
	:: answer != REFUSED && answer != SILENT && answer != INVALID -> tag_handle[p] = answer
	:: else -> failed = true
	fi
}

/* Any guarded state -> HELD, if RM says that it has none of the pages. */
inline take_back(p)
{
	if
	:: tag_handle[p] != 0 -> ask(RECLAIM, tag_handle[p], 0)
	:: else ->
		ask(LOOKUP, p, 0);
		if
		:: answer != SILENT && answer != INVALID -> ask(RECLAIM, answer, 0)
		:: else -> skip
		fi
	fi;
	if
	:: answer == OK || answer == INVALID ->
		atomic { pin[p] = HELD; tag_vmid[p] = 0; tag_handle[p] = 0 }
#ifdef BREAK_UNGUARD_REFUSED
	:: answer == REFUSED -> atomic { pin[p] = HELD; tag_vmid[p] = 0; tag_handle[p] = 0 }
#endif
	:: else -> skip /* stays guarded, and is tried again */
	fi
}

/* Undo all of VM @v: the same for a stop, a failed start, and what an earlier manager has left. */
inline tear_down(v)
{
#ifdef BREAK_DEALLOCATE_FIRST
	ask(STOP, v, 0);
	ask(DEALLOCATE, v, 0);
#endif
	ask(STOP, v, 0);
	for (q : 0 .. PARCELS - 1) {
		if
		:: pin[q] == GUARDED && tag_vmid[q] == v -> take_back(q)
		:: else -> skip
		fi
	}
	if
	:: tag_vmid[0] != v && tag_vmid[1] != v -> ask(DEALLOCATE, v, 0)
	:: else -> skip
	fi
}

inline start()
{
	for (q : 0 .. PARCELS - 1) {
		if
		:: manager_fd[q] -> pin[q] = HELD
		:: else -> failed = true
		fi;
#ifndef BREAK_KEEP_FD
		manager_fd[q] = false
#endif
	}
	if
	:: !failed ->
		ask(ALLOCATE, 0, 0);
		if
		:: answer == REFUSED || answer == SILENT -> failed = true
		:: else -> mine = answer
		fi
	:: else -> skip
	fi;
	for (q : 0 .. PARCELS - 1) {
		if
		:: !failed ->
#ifndef BREAK_GUARD_LATE
			atomic { pin[q] = GUARDED; tag_vmid[q] = mine; tag_handle[q] = 0 };
#endif
			create(SHARE, q, mine);
			if
			:: !failed ->
				ask(RECLAIM, tag_handle[q], 0);
				if
				:: answer == OK -> create(LEND, q, mine)
				:: else -> failed = true
				fi
			:: else -> skip
			fi;
#ifdef BREAK_GUARD_LATE
			atomic { pin[q] = GUARDED; tag_vmid[q] = mine }
#endif
		:: else -> skip
		fi
	}
	if
	:: !failed -> ask(START, mine, 0)
	:: else -> skip
	fi
}

inline close_pins()
{
	for (q : 0 .. PARCELS - 1) {
		manager_fd[q] = false;
		if
		:: pin[q] == HELD -> pin[q] = NONE
		:: else -> skip
		fi
	}
}

#define clean (pin[0] == NONE && pin[1] == NONE && vm[1] == UNUSED && vm[2] == UNUSED)

active proctype Manager()
{
	byte number, to, answer, mine, q, v;
	bool failed, first = true;
again:
	{
		if
		:: first && given -> start()
		:: guest_ended && !given -> skip
		:: !first && given ->
#ifndef BREAK_NO_SYNC
			do /* what an earlier manager has sent is done once this is answered */
			:: answer != OK -> ask(SYNC, 0, 0)
			:: else -> break
			od
#else
			skip
#endif
		fi;
		if
		:: vm[1] == RUNNING || vm[2] == RUNNING -> guest_ended
		:: else -> skip
		fi;
		/* GET_STATE of each VMID shows the VMs; those that no tag names are undone too */
		do
		:: !clean ->
			for (v : 1 .. VMIDS) {
				if
#ifdef BREAK_STRAYS
				:: vm[v] != UNUSED && (tag_vmid[0] == v || tag_vmid[1] == v) -> tear_down(v)
#else
				:: vm[v] != UNUSED || tag_vmid[0] == v || tag_vmid[1] == v -> tear_down(v)
#endif
				:: else -> skip
				fi
			}
			close_pins();
#ifdef BREAK_STRAYS
			break
#endif
		:: clean -> break
		od;
		close_pins();
		goto done
	} unless {
		atomic { /* it dies: the module frees what is held, and keeps what is guarded */
			kill_manager;
			kill_manager = false;
			for (q : 0 .. PARCELS - 1) {
				manager_fd[q] = false;
				if
				:: pin[q] == HELD -> pin[q] = NONE
				:: else -> skip
				fi
			}
			number = number + 1;
			to = 0; answer = 0; mine = 0; q = 0; v = 0;
			failed = false;
			first = false;
			if
			:: !given -> helper_dies = true /* the end of the connection */
			:: else -> skip
			fi
		}
	};
	goto again;
done:
	all_done = true;
	empty(request) && empty(reply);
	assert(owner[0] == 0 && owner[1] == 0);
	assert(is_free(0) && is_free(1));
	assert(vm[1] == UNUSED && vm[2] == UNUSED)
}

active proctype Death()
{
end:
	do
	:: atomic { deaths < DEATHS && !all_done && !kill_manager -> deaths++; kill_manager = true }
	:: !given && !helper_dies -> helper_dies = true
	:: break
	od
}

active proctype Watch()
{
end:
	do
	:: atomic { owner[0] != 0 && pin[0] != GUARDED -> assert(false) }
	:: atomic { owner[1] != 0 && pin[1] != GUARDED -> assert(false) }
	:: atomic { lent[0] && (helper_fd[0] || manager_fd[0]) -> assert(false) }
	:: atomic { lent[1] && (helper_fd[1] || manager_fd[1]) -> assert(false) }
	od
}
