"""`python -m tvc.training`: the same as `tvc train`."""

from tvc.training.command import app

app(prog_name="tvc train")
