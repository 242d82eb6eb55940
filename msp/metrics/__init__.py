"""What a run's output looks like in numbers: counts, diversity and a sample to read."""
