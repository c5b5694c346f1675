"""What the chosen claims need to have run: parts of experiments, and labs. Pure but for reading files."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib import resources

from bench.report.columns import COLUMNS
from bench.reproduce.claim import Claim
from bench.reproduce.lab import Lab
from bench.reproduce.labs import LABS
from bench.spec import Experiment, SpecError, load, parse
from bench.units import parse_duration

PROFILES = ("ci", "blog")
"""`ci`: scaled down, under six minutes. `blog`: at the scale of the source texts, hours."""
TAKEN = ("labs", "logs")
"""Folders of a reproduction that are no run's."""
CAPTIONS = 40_000
"""How many images the second source text has."""
USERS = 50
"""Who want them, one after the other: so many keep every consumer busy, and their polls leave it the box. The
generator holds no 40,000 clients at once."""


@dataclass(frozen=True)
class Sweep:
    """One experiment, with only the parts that are needed."""

    name: str
    experiment: Experiment
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Needs:
    """What is to be run, and for which claims."""

    sweeps: tuple[Sweep, ...]
    labs: tuple[Lab, ...]
    absent: tuple[Claim, ...]
    """Claims that this profile has no experiment for."""


def choose(claims: Sequence[Claim], only: Sequence[str]) -> tuple[Claim, ...]:
    """The claims whose name begins with one of these; all, without any. Raises SpecError where none does."""
    if unknown := [name for name in only if not any(claim.id.startswith(name) for claim in claims)]:
        raise SpecError(
            f"--only {', '.join(unknown)}: no such claim; there are {', '.join(claim.id for claim in claims)}"
        )
    return tuple(c for c in claims if not only or any(c.id.startswith(name) for name in only))


def needs(claims: Sequence[Claim], profile: str, *, whole: bool = False) -> Needs:
    """Find out. `whole`: all of the 40,000 captions. Raises SpecError for an unknown part or lab."""
    ours = profile_experiment(profile)
    if whole:
        ours = _whole(ours)
    absent: list[Claim] = []
    labs: list[str] = []
    sweeps: dict[str, tuple[Experiment, list[Claim]]] = {}
    for claim in claims:
        if claim.spec.lab and claim.spec.lab not in LABS:
            raise SpecError(f"{claim.file}: no lab {claim.spec.lab!r}; there are {', '.join(LABS)}")
        _check_columns(claim)
        if claim.spec.lab:
            labs.append(claim.spec.lab)
            continue
        name = str(claim.own_experiment) if claim.own_experiment else profile
        experiment = load(name) if claim.own_experiment else ours
        if any(fnmatchcase(part.name, claim.spec.part) for part in experiment.parts):
            sweeps.setdefault(name, (experiment, []))[1].append(claim)
        elif claim.own_experiment is None and _known(claim.spec.part):
            absent.append(claim)
        else:
            names = ", ".join(part.name for part in experiment.parts)
            raise SpecError(
                f"{claim.file}: no part {claim.spec.part!r} in {experiment.name}; there are {names}"
            )
    _check_names([(file, experiment.name) for file, (experiment, _) in sweeps.items()])
    return Needs(
        sweeps=tuple(
            Sweep(experiment.name, _narrowed(experiment, own), tuple(own))
            for experiment, own in sweeps.values()
        ),
        labs=tuple(LABS[name] for name in dict.fromkeys(labs)),
        absent=tuple(absent),
    )


def profile_experiment(profile: str) -> Experiment:
    """The experiment of a profile. Raises SpecError for an unknown one."""
    if profile not in PROFILES:
        raise SpecError(f"--profile {profile}: there are {' and '.join(PROFILES)}")
    file = resources.files("bench") / "claims" / "experiments" / f"{profile}.toml"
    return parse(file.read_text(encoding="utf-8"), f"{profile}.toml", default_name=f"claims-{profile}")


def _check_columns(claim: Claim) -> None:
    """Raise SpecError for a column that no trial has, or a figure that no such lab has: not after an hour."""
    spec = claim.spec
    there = LABS[spec.lab].figures if spec.lab else tuple(column.name for column in COLUMNS)
    for measure in (spec.measure, *spec.also):
        named = [measure.metric, measure.per, measure.against, *measure.select, *(measure.over or ())]
        for name in named:
            if name and name not in there:
                near = get_close_matches(name, there, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(there)}"
                raise SpecError(f"{claim.file}: {spec.lab or 'trials'} has no {name!r}; {hint}")


def _check_names(sweeps: Sequence[tuple[str, str]]) -> None:
    """Raise SpecError where two experiments, or one and our own records, would share a folder."""
    files = {name: f"a folder of `bench reproduce` ({name})" for name in TAKEN}
    for file, name in sweeps:
        if name in files:
            raise SpecError(f"{file}: its name, {name!r}, is taken by {files[name]}; give it another")
        files[name] = file


def _known(part: str) -> bool:
    return any(fnmatchcase(p.name, part) for profile in PROFILES for p in profile_experiment(profile).parts)


def _narrowed(experiment: Experiment, claims: Sequence[Claim]) -> Experiment:
    wanted = [p for p in experiment.parts if any(fnmatchcase(p.name, c.spec.part) for c in claims)]
    return experiment.model_copy(update={"parts": wanted})


def _whole(experiment: Experiment) -> Experiment:
    """All captions, wanted by users who each ask for one after the other."""
    everything = {
        "shows": "closed",
        "arrivals": "closed",
        "sizes": [USERS],
        "jobs_per_user": CAPTIONS // USERS,
        "poll_interval": parse_duration("1s"),
        "deadline": parse_duration("2h"),
    }
    parts = [p.model_copy(update=everything) if p.name == "captions" else p for p in experiment.parts]
    return experiment.model_copy(update={"parts": parts})
