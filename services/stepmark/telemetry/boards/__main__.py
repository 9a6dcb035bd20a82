"""Write the boards: `python -m stepmark.telemetry.boards charts/stepmark/dashboards`."""

import sys
from pathlib import Path

from stepmark.telemetry.boards.files import texts

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("charts/stepmark/dashboards")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text, encoding="utf-8")
