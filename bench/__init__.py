"""The benchmark: speed, CPU and memory of sends, and of other systems that do the same."""
