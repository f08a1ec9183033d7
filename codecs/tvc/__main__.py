"""`python -m tvc`: the same as `tvc`."""

from tvc.cli import main

main()
