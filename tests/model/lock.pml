/* How a lock goes from hand to hand: the scripts of the server, the machines of several sessions, and
 * the links between them, which may break at any moment. README.md says which step is which in the code.
 *
 * All sessions use the same token, as the tasks do that share a lock object: only the operation tells
 * who holds.
 *
 * LEASE    leases end, processes die without a word, commands come late; and waiters ask again, which
 *          finds what no message tells. Else lease=None, and nobody asks again: only the messages of
 *          the protocol hand the lock on.
 * SESSIONS, ROUNDS (operations of each), CUTS, CRASHES, CANCELS: how much happens.
 * MUTATE_* breaks one step, and spin must find out: see test_model.py. */

#define OPERATIONS (SESSIONS * ROUNDS)
#define NOBODY OPERATIONS
#define session_of(operation) ((operation) / ROUNDS)

mtype = { lock_acquire, lock_release };                  /* commands, and what a reply answers */
mtype = { BEFORE, WAITING, HELD, LOST, RELEASING, DONE }; /* Operation::State, BEFORE and after */

/* ---- the server ---- */

bool locked;             /* KEYS[1] exists */
byte fence = NOBODY;     /* KEYS[3]: the operation of the latest grant */
bool mark;               /* its "+": somebody may have queued since */
bool fresh;              /* of the lease, when it was granted or renewed a moment ago */
chan queue = [OPERATIONS] of { byte };  /* KEYS[2], oldest first */
bool listening[SESSIONS];               /* the server sees a subscriber of the inbox */

/* ---- the links ---- */

bool linked[SESSIONS];   /* as the session sees it */
chan commands[SESSIONS] = [2 * ROUNDS] of { mtype, byte };
chan replies[SESSIONS] = [2 * ROUNDS] of { mtype, byte, bool };
chan inbox[SESSIONS] = [4] of { byte };
chan late = [2] of { mtype, byte };     /* commands of connections that were given up */

/* ---- the sessions ---- */

mtype state[OPERATIONS] = BEFORE;
bool sent[OPERATIONS];
bool in_flight[OPERATIONS];
byte believer = NOBODY;  /* the operation whose caller is inside */

byte cuts = CUTS;
byte crashes = CRASHES;
byte cancels = CANCELS;

/* Exclusion: who is inside is the one that the server counts as the holder. */
#define EXCLUSION (believer == NOBODY || (locked && fence == believer))

#include "server.pml"
#include "session.pml"

/* When nothing more can happen: nobody waits for what nobody will tell, and nobody has the lock. */
proctype Quiet() {
  byte each;
end:
  atomic {
    timeout ->
    do
    :: each < OPERATIONS -> assert(state[each] == DONE); each++
    :: else -> break
    od;
    assert(!locked)
  }
}

init {
  byte s;
  atomic {
    do
    :: s < SESSIONS -> linked[s] = true; listening[s] = true; run Server(s); run Session(s); s++
    :: else -> break
    od;
    run Quiet();
#ifdef LEASE
    run Network();
    run Clock();
    run Renewal()
#endif
  }
}

#ifdef WAITER
/* No lost wake-up: whoever waits and lives gets the lock. */
ltl enters { [] ((state[WAITER] == WAITING) -> <> (state[WAITER] != WAITING)) }
#endif
