"""`python -m stepmark` is the same program as the `stepmark` command."""

from stepmark.cli.main import main

main()
