"""Run the `stepmark` command as `python -m stepmark`."""

from stepmark.cli.main import main

main()
