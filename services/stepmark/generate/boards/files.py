"""All dashboards, and the files that they are written to."""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import collectives, controller, frameworks, hub, live, overview, scaling


def boards() -> tuple[Dashboard, ...]:
    """Return all dashboards."""
    return tuple(module.board() for module in (overview, frameworks, scaling, collectives, live, hub, controller))


def texts() -> dict[str, str]:
    """Return the JSON text of each dashboard, by file name."""
    return {f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2) + "\n" for board in boards()}
