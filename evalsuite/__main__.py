"""`python -m evalsuite`, the same as the `evalsuite` command."""

from evalsuite.cli.app import main

if __name__ == "__main__":
    main()
