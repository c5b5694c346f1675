"""`selftest`, `reproduce`, `chaos` and `soak`: whether it is true, and whether it holds."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Output, command_line
from bench.console import terminal


def selftest_command(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer jobs, no p99.9: half a minute, also on a busy machine.")
    ] = False,
    broken: Annotated[
        str | None,
        typer.Option(help="Break the harness on purpose: from-send, drops-ignored or lost-forgotten."),
    ] = None,
    records: Annotated[
        Path | None, typer.Option(help="Judge an earlier self-test's folder again; nothing is measured.")
    ] = None,
    output: Output = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    generator_limits: Annotated[
        bool,
        typer.Option("--generator", help="Instead: the rate up to which the load generator keeps up here."),
    ] = False,
) -> None:
    """Measure servers whose truth is known, and tell whether the harness tells it."""
    from bench.selftest import command
    from bench.spec import SpecError

    if generator_limits:
        from bench.selftest import generator

        if quick or broken or records or output or as_json:
            raise SpecError("--generator looks for another thing: no other option goes with it")
        raise typer.Exit(generator.run(terminal()))
    line = command_line()
    wish = command.Wish(
        quick=quick, broken=broken, records=records, output=output, as_json=as_json, command=line
    )
    raise typer.Exit(command.run(wish, terminal()))


def reproduce_command(
    profile: Annotated[
        str, typer.Option(help="ci: scaled down, under six minutes. blog: at the texts' own scale, hours.")
    ] = "ci",
    only: Annotated[
        list[str] | None, typer.Option(help="Only the claims whose name begins so; may be repeated.")
    ] = None,
    claims: Annotated[
        Path | None, typer.Option(help="A folder of claims of your own, one TOML file each.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="All 40,000 captions, not a part of them.")] = False,
    output: Output = None,
    listed: Annotated[bool, typer.Option("--list", help="Only show the claims.")] = False,
) -> None:
    """Run again what others claim of queues, and compare the verdicts with the recorded ones."""
    from bench import folders
    from bench.reproduce import carry_out, claim, needs, outcome

    found = claim.read_claims(claims) if claims else claim.built_in()
    if listed:
        outcome.show_claims(needs.choose(found, tuple(only or ())), terminal())
        return
    wish = carry_out.Wish(
        profile=profile,
        claims=found,
        folder=output or folders.new(f"reproduce-{profile}"),
        only=tuple(only or ()),
        whole=whole,
        command=command_line(),
    )
    raise typer.Exit(carry_out.run(wish, terminal()))


def chaos_command(
    system: Annotated[str, typer.Option(help="queued, queued-api, as-published, …")] = "queued",
    jobs: Annotated[
        int | None, typer.Option(help="Jobs over the storm: 10,000, or 200 with --short.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the plan of strikes and of the users.")] = 1,
    short: Annotated[bool, typer.Option("--short", help="Each strike once, within half a minute.")] = False,
    workers: Annotated[int, typer.Option(help="Queue workers.")] = 2,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this kind of strike (kill-web, …, seam); may be repeated.")
    ] = None,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="A bare queue with one measure more at a time: what each saves.")
    ] = False,
    output: Output = None,
) -> None:
    """Kill every part of a queue while jobs stream through it, and count what was lost."""
    line = command_line()
    if ladder:
        from bench.chaos import ladder as climb

        raise typer.Exit(
            climb.run(climb.Wish(seed=seed, short=short, output=output, command=line), terminal())
        )
    from bench.chaos import storm

    wish = storm.Wish(
        system=system,
        jobs=jobs,
        seed=seed,
        short=short,
        workers=workers,
        output=output,
        kinds=tuple(only or ()),
        command=line,
    )
    raise typer.Exit(storm.run(wish, terminal()))


def soak_command(
    minutes: Annotated[float, typer.Option(help="How long.")] = 30.0,
    load: Annotated[float, typer.Option(help="Share of the capacity that is offered.")] = 0.8,
    system: Annotated[str, typer.Option(help="queued or queued-api.")] = "queued",
    workers: Annotated[int, typer.Option(help="Queue workers.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the users.")] = 1,
    output: Output = None,
) -> None:
    """Keep a queue under steady load, and tell whether memory, connections, handles or keys grow."""
    from bench.chaos import soak

    line = command_line()
    wish = soak.Wish(minutes, load, system=system, workers=workers, seed=seed, output=output, command=line)
    raise typer.Exit(soak.run(wish, terminal()))
