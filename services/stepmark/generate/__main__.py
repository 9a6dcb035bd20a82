"""Write every generated file: run `python -m stepmark.generate [ROOT]` from the root of the repository."""

import sys
from pathlib import Path

from stepmark.generate.documents import documents

if __name__ == "__main__":
    for path, text in documents(Path(sys.argv[1]) if len(sys.argv) > 1 else Path()).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
