"""Decisions about many endpoints: which one, for how long not, when a second one, and how a broken answer goes on.

Nothing here waits, reads a clock or draws a number: ``now`` and chance are arguments, so hours are simulated in tests.
"""
