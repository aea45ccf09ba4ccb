"""Everything that awaits."""
