"""The loop: train, measure on dev, generate where it helps most, and train again."""
