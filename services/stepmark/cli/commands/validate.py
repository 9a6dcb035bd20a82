"""`stepmark validate`."""

from stepmark.cli.options import AsJson, ScenarioFile


def validate(file: ScenarioFile, as_json: AsJson = False) -> None:
    """Check a scenario file; run nothing.

    Every refusal names the path, what was expected, what was found, and what to change. Exit code 2 if there is one.
    """
    from stepmark.cli.verbs import validate as verb

    verb.validate(file, as_json)
