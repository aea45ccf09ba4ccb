"""The wire: Structs of requests, chunks and completions, with no behaviour of their own."""
