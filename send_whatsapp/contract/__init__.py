"""What starters and worker agree on: request, result, names, error types and the data converter."""
