"""Sessions in Redis: a browser that comes back may reach another process, and go on where it was.

Each process keeps the logs it fills in memory, and serves its own readers from them: an answer needs no Redis to be
read where it is produced. One task, the *keeper*, writes behind: what was added to any log since its last round, in one
pipeline. Where Redis fails it tries again, and Redis gets all that it missed; readers there see nothing of it, others
wait, or are told the truth below.

A session has four keys, of which none outlives it by more than ``keep`` seconds and a lease:

``log``
    A stream. Each entry holds frames as JSON; the offsets in them say what they are, so an entry may come twice, and
    say again what was said. The last entry, and one now and then, says all from the start, and replaces those before.
``lease``
    The producer's word that it is there, which it renews. Without a lease, a log that has not ended never will: its
    readers get all that is there, and then the error ``lost``.
``stop``
    Somebody asked to stop. The producer looks twice a second.
``readers``
    Somebody reads in another process, and renews that as well, so that the producer does not take it for abandoned.
    That somebody has left is known a lease later.

Readers in other processes read from a log there, which one task per session, the *follower*, fills from Redis as long
as there are any. It holds one connection of the client's pool. Needs Redis 6.2 and the extra ``opeai_async[redis]``.

Where Redis refuses (a wrong password, a replica, no memory, a cluster that wants all keys in one slot) or is gone, the
answer goes on, ``session.store_error`` says why other processes do not see it, and the logger ``opeai_async`` has one
line when that begins and one when it is over::

    store.py      RedisStore, and what it has in each event loop
    keeper.py     writes the sessions of this process
    follower.py   reads those of others
    link.py       the client, and whether Redis does what it is asked
"""

from __future__ import annotations

from opeai_async.redis_store.store import RedisStore

__all__ = ["RedisStore"]
