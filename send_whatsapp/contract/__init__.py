"""What starters and workers agree on: pure types and rules, and the data converter."""
