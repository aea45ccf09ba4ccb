"""Faults that strike before a request can be sent."""

import sys

import pytest

from opeai_async import OpeAIError
from opeai_async.testing import FAULTS, Endpoint, Fault
from tests.promises.faults.matrix import ASK, AT_STAGE, check_error, ids, timeouts_for
from tests.support.clients import rewire
from tests.support.leaks import eventually, no_leaks

pytestmark = pytest.mark.time_limit(15)


@pytest.mark.parametrize("fault", AT_STAGE["connect"], ids=ids(AT_STAGE["connect"]))
async def test_a_fault_gives_its_error(fault: Fault) -> None:
    """The error of the table, after as many attempts as it says; the key has gone nowhere."""
    if fault.name == "connect_stall" and sys.platform != "linux":
        pytest.skip("other systems refuse where Linux waits")
    verdict = fault.stream
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with no_leaks(), Endpoint(fault.name) as endpoint:
        async with endpoint.client(max_retries=1, max_connections=1, timeouts=timeouts_for(verdict)) as client:
            rewire(client, sleep=sleep)
            with pytest.raises(OpeAIError) as caught:
                await client.chat.completions.create(**ASK)
            check_error(caught.value, verdict)
            attempts = 1 if verdict.retried == "never" else 2
            assert len(caught.value.attempts) == attempts == len(slept) + 1
            if fault.name not in ("refused", "connect_stall"):
                # To say who signed a certificate, it is looked at once more, without a request.
                looks = 1 if fault.name.startswith("certificate_") else 0
                assert endpoint.connections_total == attempts + looks
            assert getattr(caught.value, "phase", "connect") == "connect"
            assert endpoint.received == b""
            await eventually(lambda: endpoint.connections_open == 0)


async def test_what_makes_the_certificates_fail_is_what_the_table_says() -> None:
    """One each: the chain, the host name, the date."""
    reasons = []
    for name in ("certificate_untrusted", "certificate_of_another", "certificate_expired"):
        async with Endpoint(name) as endpoint, endpoint.client() as client:
            with pytest.raises(OpeAIError) as caught:
                await client.chat.completions.create(**ASK)
        reasons.append(str(caught.value))
    for reason, expected in zip(reasons, ("self-signed", "Hostname mismatch", "expired"), strict=True):
        assert expected in reason.replace("self signed", "self-signed")


async def test_an_endpoint_has_no_other_faults() -> None:
    """A fault that needs a request is the server's; a name that is none is refused."""
    with pytest.raises(ValueError, match=r"'stall' needs a request; queue it with server.fault\('stall'\)"):
        Endpoint("stall")
    with pytest.raises(ValueError, match="there is no fault named 'tls_stal'; did you mean 'tls_stall'"):
        Endpoint("tls_stal")
    assert {fault.play for fault in FAULTS.values() if fault.stage == "connect"} == {None}
