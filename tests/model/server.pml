/* Included by lock.pml: the server, which is lua/ and its clock. */

/* lua/include/hand_over.lua: grant() */
inline record_grant(operation) {
  locked = true;
  fresh = true;
  fence = operation;
  mark = true
}

/* lua/include/hand_over.lua: PUBLISH; `heard` is what it returns. What is sent to a session that is
 * gone while the server has not noticed, is lost. */
inline publish(operation) {
  heard = listening[session_of(operation)];
  if
  :: heard && linked[session_of(operation)] -> inbox[session_of(operation)]!operation
  :: else
  fi;
#ifdef MUTATE_DEAD_INBOX
  heard = true;
#endif
}

/* lua/include/hand_over.lua: the result is `member`, NOBODY when no living waiter is left. */
inline hand_over(own) {
  heard = false;
  do
  :: heard -> break
  :: !heard && len(queue) == 0 -> member = NOBODY; break
  :: !heard && len(queue) > 0 ->
       queue?member;
       if
       :: member == own -> break
       :: else -> record_grant(member); publish(member)
       fi
  od
}

/* lua/include/take_or_queue.lua */
inline take_or_queue(own) {
  if
#ifndef MUTATE_RESEND
  :: locked && fence == own -> fresh = true; granted = true
#endif
  :: else ->
       if
       :: !(queue??[eval(own)]) ->
            queue!own;
#ifndef MUTATE_NO_MARK
            mark = (mark || fence != NOBODY)
#endif
       :: else
       fi;
       granted = false;
       if
#ifndef MUTATE_BLIND_POLL
       :: !locked ->
            hand_over(own);
            if
            :: member == own -> record_grant(own); granted = true
            :: else
            fi
#endif
       :: else
       fi
  fi
}

/* lua/lock_acquire.lua */
inline run_lock_acquire(own) {
  if
  :: !locked && !((fence == NOBODY || mark) && len(queue) > 0) ->
       assert(len(queue) == 0);  /* Nobody is overtaken. */
       locked = true;
       fresh = true;
       fence = own;
       mark = false;
       granted = true
  :: else -> take_or_queue(own)
  fi
}

/* lua/lock_release.lua */
inline run_lock_release(own) {
  granted = false;
  if
#ifdef MUTATE_RELEASE_ANY
  :: locked ->
#else
  :: locked && fence == own ->
#endif
       if
       :: !mark ->
            assert(len(queue) == 0);  /* Nobody is forgotten. */
            locked = false
       :: else ->
#ifdef MUTATE_SILENT_RELEASE
            member = NOBODY;
#else
            hand_over(NOBODY);
#endif
            locked = (member != NOBODY)
       fi
  :: else ->
       if
       :: queue??[eval(own)] -> queue??eval(own)
       :: else
       fi
  fi
}

inline run_script(script, own) {
  if
  :: script == lock_acquire -> run_lock_acquire(own)
  :: else -> run_lock_release(own)
  fi;
  assert(EXCLUSION);
  member = 0;
  heard = false
}

/* The server's end of one session's connections. */
proctype Server(byte s) {
  mtype script;
  byte operation, member;
  bool granted, heard;
end:
  do
  :: d_step {
       commands[s]?script, operation ->
       run_script(script, operation);
       if
       :: linked[s] -> replies[s]!script, operation, granted
       :: else
       fi;
       script = 0; operation = 0; granted = false
     }
  /* A connection that broke may take with it what was sent; */
  :: d_step { !linked[s] && len(commands[s]) > 0 -> commands[s]?_, _ }
  /* and sooner or later the server notices. */
  :: d_step { !linked[s] && listening[s] -> listening[s] = false }
  od
}

#ifdef LEASE
/* Commands of a connection that was given up may still come, after those of the next one. */
proctype Network() {
  mtype script;
  byte operation, member;
  bool granted, heard;
end:
  do
  :: d_step {
       late?script, operation ->
       run_script(script, operation);
       script = 0; operation = 0; granted = false
     }
  :: late?_, _
  od
}

/* The server's clock. A session believes in a lease for less long than the server keeps it. */
proctype Clock() {
end:
  do
  :: d_step { locked && fresh -> fresh = false }
  :: d_step { locked && !fresh && fence != believer -> locked = false }
  od
}

/* Renewal::step() and lua/lock_renew.lua: over a connection of its own, so one step here. */
proctype Renewal() {
end:
  do
  :: d_step { believer != NOBODY && !fresh -> assert(locked && fence == believer); fresh = true }
  od
}
#endif
