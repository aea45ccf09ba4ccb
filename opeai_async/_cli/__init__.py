"""The command line's parts: what ``__main__`` calls, one module per command, and the terminal below them."""
