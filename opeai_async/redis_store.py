"""Sessions in Redis: ``from opeai_async.redis_store import RedisStore``; needs the extra ``opeai_async[redis]``."""

from opeai_async._relay.redis.store import RedisStore

__all__ = ["RedisStore"]

RedisStore.__module__ = __name__
