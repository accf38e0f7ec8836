/* Included by lock.pml: a session, which is src/primitives/machine.cc and machine_wire.cc. */

/* Machine::send(); without a link, on_ready() does it later. */
inline send(script, own) {
  if
  :: linked[s] -> commands[s]!script, own; in_flight[own] = true; sent[own] = true
  :: else
  fi
}

/* Machine::release() of what is held or lost */
inline release(own) {
  believer = (believer == own -> NOBODY : believer);
  state[own] = RELEASING;
  send(lock_release, own)
}

/* Machine::withdraw(): abandon(), or tick() at the deadline of an acquire */
inline withdraw(own) {
  if
#ifndef MUTATE_SILENT_CANCEL
  :: sent[own] -> state[own] = RELEASING; send(lock_release, own)
#endif
  :: else -> state[own] = DONE
  fi
}

/* Machine::grant(). A grant whose lease is over by the time that it is heard is known to be over. */
inline grant(own) {
  if
#ifndef MUTATE_OLD_GRANT
  :: !(locked && fence == own) ->
#ifndef LEASE
       assert(false);  /* Nothing has ended it. */
#endif
       state[own] = LOST
#endif
  :: else ->
       assert(believer == NOBODY);
       state[own] = HELD;
       believer = own;
       assert(EXCLUSION)
  fi
}

/* Machine::on_lost(): what was under way is lost with the connection. */
inline on_lost() {
  linked[s] = false;
  do
  :: len(replies[s]) > 0 -> replies[s]?_, _, _
  :: else -> break
  od;
  do
  :: len(inbox[s]) > 0 -> inbox[s]?_
  :: else -> break
  od;
  each = s * ROUNDS;
  do
  :: each < (s + 1) * ROUNDS -> in_flight[each] = false; each++
  :: else -> break
  od;
  each = 0
}

/* Machine::on_ready(), after Client has subscribed to the inbox: all that has no answer is sent again. */
inline on_ready() {
  do
  :: len(commands[s]) > 0 -> commands[s]?answered, each; late!answered, each
  :: else -> break
  od;
  linked[s] = true;
  listening[s] = true;
  each = s * ROUNDS;
  do
  :: each < (s + 1) * ROUNDS ->
       if
#ifndef MUTATE_NO_RESEND
       :: state[each] == WAITING -> send(lock_acquire, each)
#endif
       :: state[each] == RELEASING -> send(lock_release, each)
       :: else
       fi;
       each++
  :: else -> break
  od;
  each = 0;
  answered = 0
}

#ifdef LEASE
#define can_reconnect (len(commands[s]) + len(late) <= 2)
#define can_crash true
#else
/* A dead holder, or a command that is late, would block a lock without a lease for ever. */
#define can_reconnect len(commands[s]) == 0
#define can_crash (!(locked && session_of(fence) == s))
#endif

/* The process is gone; nobody is inside any more. */
inline die() {
  on_lost();
  each = s * ROUNDS;
  do
  :: each < (s + 1) * ROUNDS ->
       believer = (believer == each -> NOBODY : believer);
       state[each] = DONE;
       each++
  :: else -> break
  od;
  each = 0;
#ifndef LEASE
  listening[s] = false;
  do
  :: len(commands[s]) > 0 -> commands[s]?_, _
  :: else -> break
  od
#endif
}

proctype Session(byte s) {
  byte own = s * ROUNDS;  /* the latest operation */
  byte each;
  mtype answered;
  bool granted;

  do
  /* ---- the caller ---- */
  :: d_step { state[own] == BEFORE -> state[own] = WAITING; send(lock_acquire, own) }  /* acquire() */
  :: d_step { state[own] == WAITING && cancels > 0 -> cancels--; withdraw(own) }
  :: d_step { state[own] == HELD -> release(own) }
  :: d_step { state[own] == LOST -> release(own) }
  :: d_step { (state[own] == RELEASING || state[own] == DONE) && own % ROUNDS < ROUNDS - 1 -> own++ }

  /* ---- the server and the links ---- */
  :: d_step {
       linked[s] && len(replies[s]) > 0 ->
       replies[s]?answered, each, granted;
       in_flight[each] = false;
       if
       /* on_wait_reply(): granted by a message or withdrawn meanwhile, the answer is old. */
       :: answered == lock_acquire && state[each] == WAITING && granted -> grant(each)
       /* on_leave_reply() */
       :: answered == lock_release && state[each] == RELEASING -> state[each] = DONE
       :: else
       fi;
       each = 0; granted = false; answered = 0
     }
  :: d_step {
       linked[s] && len(inbox[s]) > 0 ->  /* on_grant_message() */
       inbox[s]?each;
       if
       :: state[each] == WAITING -> grant(each)
       :: else  /* The withdrawal that follows gives it back. */
       fi;
       each = 0
     }
  :: d_step { linked[s] && cuts > 0 -> cuts--; on_lost() }
  :: d_step { !linked[s] && can_reconnect -> on_ready() }

  /* ---- time ---- */
#if defined(LEASE) && !defined(MUTATE_NO_POLL)
  /* tick(): PollPlan has the oldest waiter ask again. */
  :: d_step {
       state[own] == WAITING && linked[s] && !in_flight[own] && len(inbox[s]) == 0 ->
       send(lock_acquire, own)
     }
#endif
#ifdef LEASE
  /* LeaseTable::scan(): not renewed in time. */
  :: d_step { state[own] == HELD && !fresh -> state[own] = LOST; believer = NOBODY }
#endif

  :: atomic { crashes > 0 && can_crash -> crashes--; die(); break }
  :: own % ROUNDS == ROUNDS - 1 && state[own] == DONE && linked[s] -> break
  od;

  /* Nothing is left to do, or it has died; but a session listens until its loop ends. */
end:
  do
  :: inbox[s]?_
  :: replies[s]?lock_acquire, _, _
  :: d_step { replies[s]?lock_release, each, _ -> state[each] = DONE; each = 0 }
  od
}
