"""Why Redis did not do what it was asked: in our own words, whatever the driver and its version."""

import pytest

from opeai_async._relay.redis.refusals import code_of, explain, is_of_another_type

SECRET = "redis://user:canary@host 'canary answer'"


def named(name, *bases):
    """A class of a driver that need not be installed."""
    return type(name, bases or (Exception,), {})


ConnectionLost = named("ConnectionError", named("RedisError"))
ResponseError = named("ResponseError", named("RedisError"))

REFUSALS = [
    (named("AuthenticationError", ConnectionLost)(SECRET), "refuses the password"),
    (named("AuthorizationError", ConnectionLost)(SECRET), "refuses the user"),
    (named("NoPermissionError", ResponseError)(SECRET), "denies a command or a key"),
    (named("ReadOnlyError", ResponseError)(SECRET), "read-only replica"),
    (named("OutOfMemoryError", ResponseError)(SECRET), "out of memory"),
    (named("ClusterCrossSlotError", ResponseError)(SECRET), "different slots"),
    (named("CrossSlotTransactionError", named("RedisClusterException"))(SECRET), "different slots"),
    (named("RedisClusterException")("MGET: all keys must map to the same key slot"), "different slots"),
    (named("RedisClusterException")(SECRET), "failed with RedisClusterException"),
    (named("MovedError", named("AskError", ResponseError))(SECRET), "is a cluster"),
    (named("BusyLoadingError", ConnectionLost)(SECRET), "is loading"),
    (named("MasterDownError", named("ClusterDownError", ResponseError))(SECRET), "lost its primary"),
    (named("ClusterDownError", ResponseError)(SECRET), "cluster is down"),
    (named("MaxConnectionsError", ConnectionLost)(SECRET), "no connection of the Redis client is free"),
    (named("TimeoutError", named("RedisError"))(SECRET), "did not answer in time"),
    (TimeoutError(SECRET), "did not answer in time"),
    (ConnectionRefusedError(SECRET), "cannot be reached"),
    (ConnectionLost(SECRET), "cannot be reached"),
    (RuntimeError("Event loop is closed"), "another event loop"),
    (RuntimeError("got Future attached to a different loop"), "another event loop"),
    (RuntimeError(f"unable to perform operation on {SECRET}; the handler is closed"), "of another event loop"),
    (RuntimeError(SECRET), "failed with RuntimeError"),
    (ResponseError(f"MOVED 866 {SECRET}"), "is a cluster"),
    (ResponseError(f"OOM command not allowed {SECRET}"), "out of memory"),
    (ResponseError(f"MISCONF {SECRET}"), "failed with ResponseError (MISCONF)"),
    (ResponseError(SECRET), "failed with ResponseError"),
    (KeyError(SECRET), "failed with KeyError"),
]


@pytest.mark.parametrize(("error", "words"), REFUSALS, ids=lambda value: type(value).__name__)
def test_each_failure_has_words_of_ours(error, words):
    """And nothing of what the driver said, which may quote a password or an answer."""
    refusal = explain(error)
    assert words in refusal.message
    assert refusal.hint
    assert "canary" not in f"{refusal}"


@pytest.mark.parametrize(("error", "may_pass"), [(ConnectionResetError(), True), (TimeoutError(), False)])
def test_only_a_lost_connection_may_pass(error, may_pass):
    """A further one may be made at once."""
    assert explain(error).may_pass is may_pass


def test_the_code_of_an_error():
    """It is what Redis begins with, and not what a pipeline quotes before it."""
    assert code_of(Exception("WRONGTYPE Operation against a key")) == "WRONGTYPE"
    assert code_of(Exception("Command # 1 (XADD k * frames WRONGTYPE) of pipeline caused error: OOM no")) == "OOM"
    assert code_of(Exception("Command # 1 (XADD caused error: WRONGTYPE) of pipeline caused error: no")) is None
    assert code_of(Exception()) is None


def test_a_key_of_another_type():
    assert is_of_another_type(ResponseError("WRONGTYPE Operation against a key"))
    assert not is_of_another_type(ResponseError("OOM"))
    assert not is_of_another_type("WRONGTYPE")
