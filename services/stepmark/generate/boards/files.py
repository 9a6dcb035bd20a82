"""All boards, and the files that they become."""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import controller, frameworks, hub, live, overview, scaling


def boards() -> tuple[Dashboard, ...]:
    return tuple(module.board() for module in (overview, frameworks, scaling, live, hub, controller))


def texts() -> dict[str, str]:
    """File name -> JSON."""
    return {f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2) + "\n" for board in boards()}
