"""Decisions and parsing: no await, no clock, no socket, no randomness of its own."""
