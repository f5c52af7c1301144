"""The recipients of a batch: reading files, and checking rows before a batch starts."""
