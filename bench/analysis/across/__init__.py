"""The trials of a run beside each other: points, curves, models, and what they say together."""
