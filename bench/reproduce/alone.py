"""What the post's stand-in for a model takes alone: n = 150,000, in the idle box."""

from bench.reproduce.lab import Figures, Lab, Place
from bench.stack.calibrate import calibrate

N = 150_000


def alone(place: Place) -> Figures:
    """Run it once. `seconds` is wall time, with the turning of the product into text; `cpu` its CPU time."""
    place.say(f"one factorial of {N:,}")
    found = calibrate("factorial", N, place.box, budget=0.0, folder=place.folder, repeats=1, threads=False)
    return {"seconds": found.wall, "cpu": found.cpu}


ALONE = Lab("alone", f"One factorial of {N:,} alone", ("seconds", "cpu"), alone, seconds=20.0, repeats=1)
