"""``python -m opeai_async doctor``: find out what a server can do, and which settings of the client suit it.

A run of the doctor passes through these files, and each knows only those below it::

    command    reads the options, prints the report
    probes     asks one question per probe, each with a limit of time    -> a Finding
    patient    sends the requests, and gathers what they show            -> Facts, quirks
    quirks     names the oddities in the bytes of a response
    advice     turns Facts into settings
    watch      a transport that remembers every response as it came

The alternative, to ask the client what it repaired, shows less: how a stream was framed, or whether ``[DONE]`` came, is
gone once it is repaired.
"""

from opeai_async._cli.doctor.command import run

__all__ = ["run"]
