"""`stepmark doctor`."""

from stepmark.cli.options import AsJson


def doctor(as_json: AsJson = False) -> None:
    """Print what this machine can run, which engines are installed, and what is missing, with remedies.

    Exit code 3 if no engine can run here.
    """
    from stepmark.cli.verbs import doctor as verb

    verb.doctor(as_json)
