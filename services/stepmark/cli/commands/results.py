"""`stepmark results`."""

from stepmark.cli.options import AsJson, HubChoices, HubFrom, Price, RunFolder, TokenFile


def results(
    folder: RunFolder,
    price: Price = None,
    as_json: AsJson = False,
    hub: HubFrom = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Print the result of a run again, derived from its raw records."""
    from stepmark.cli.verbs import results as verb

    verb.results(folder, price, as_json, HubChoices(hub, hub_token_file))
