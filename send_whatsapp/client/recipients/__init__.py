"""The recipients of a batch: from a file or a list to checked rows."""
