"""The one place that tells what the client does: to observers, of whom the log is the first."""
