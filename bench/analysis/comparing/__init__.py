"""Two runs, two systems, or a claim and what was measured: verdicts with their intervals."""
