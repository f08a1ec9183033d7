"""`evalsuite plan`: what quality costs, what a device can play, and what an audience needs."""

from __future__ import annotations

import typer

from evalsuite.cli import planforecast, planprofile

app = typer.Typer(
    no_args_is_help=True,
    help="From results to plans: rates, devices, audiences.",
    epilog="Example: evalsuite plan profile results --target vmaf=80 --tag faces --device phone",
)

app.command("profile")(planprofile.profile)
app.command("forecast")(planforecast.forecast)
