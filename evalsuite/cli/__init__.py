"""The command line: one file per subcommand, arguments and printing only."""
