"""`plan` and `doctor`: before anything is measured."""

from pathlib import Path
from typing import Annotated

import typer

from bench.console import terminal


def plan_command(
    rate: Annotated[str, typer.Option(help='Jobs that come: "4/s", "90/min", "1000000/day".')],
    slo: Annotated[str, typer.Option(help='What users are promised: "p95<2s", "mean<1s, p99<5s".')],
    run_folder: Annotated[
        Path | None,
        typer.Argument(help="A folder made by `bench run`: what is not given comes from there."),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Of the run: queued (if not given), gunicorn, …")] = None,
    service_time: Annotated[
        str | None, typer.Option(help='Time one job takes alone on a core: "250ms".')
    ] = None,
    variation: Annotated[
        float | None, typer.Option(help="Standard deviation over mean of the service times; 0: all alike.")
    ] = None,
    overhead: Annotated[
        str | None,
        typer.Option(help="What each job pays beside waiting and service; without polls."),
    ] = None,
    cpu: Annotated[
        str | None, typer.Option(help="CPU time of a job, where it waits for others as well.")
    ] = None,
    cpus: Annotated[
        float | None, typer.Option(help="vCPU that everything shares; left out: as many as it needs.")
    ] = None,
    peak: Annotated[float, typer.Option(help="The busiest hour's rate over the mean: plan for that.")] = 1.0,
    price: Annotated[float | None, typer.Option(help="Of a vCPU for an hour, in any currency.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """How many workers a load needs, by queueing theory: from numbers, or from what a run has measured."""
    from bench import sizing

    wish = sizing.Wish(
        rate=rate,
        objective=slo,
        service_time=service_time,
        run=run_folder,
        system=system,
        variation=variation,
        overhead=overhead,
        cpu=cpu,
        cpus=cpus,
        peak=peak,
        price=price,
    )
    raise typer.Exit(sizing.run(wish, terminal(), as_json=as_json))


def doctor_command() -> None:
    """Show what is there, which caps are possible, and what to do about each gap."""
    from bench import doctor

    raise typer.Exit(doctor.run())
