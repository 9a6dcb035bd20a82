"""`stepmark report`."""

from stepmark.cli.options import HubChoices, HubFrom, Price, RunFolder, TokenFile


def report(folder: RunFolder, price: Price = None, hub: HubFrom = None, hub_token_file: TokenFile = None) -> None:
    """Write summary.json, report.md and report.html of a run again, derived from its raw records.

    Reports of a run in a hub are written to out/RUN_ID.
    """
    from stepmark.cli.verbs import report as verb

    verb.report(folder, price, HubChoices(hub, hub_token_file))
