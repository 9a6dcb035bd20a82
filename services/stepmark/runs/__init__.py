"""Runs in folders: begin or resume one, measure its plan with progress shown, derive its summary, write its reports.

The command line and the Python interface both stand on this package, so that both do the same. It owns the folder of a
run, and what is asked of this machine before anything runs. It reads no arguments and ends no program.
"""
