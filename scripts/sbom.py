"""Write a bill of materials, CycloneDX 1.5 as JSON, of what is installed in an image.

`pip freeze | sbom.py NAME [PACKAGES]` writes it to standard output. Standard input has the versions, one NAME==VERSION
a line, as the requirements pin them; uv finds addresses and hashes again. PACKAGES: a file with Debian's packages,
`name version architecture` a line.
"""

import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def project(name: str, pins: list[str]) -> str:
    """Return the pyproject.toml of a project that needs exactly these packages."""
    python = f"=={sys.version_info.major}.{sys.version_info.minor}.*"
    return (
        f'[project]\nname = "{name}"\nversion = "0"\nrequires-python = "{python}"\ndependencies = {json.dumps(pins)}\n'
        f"[tool.uv]\nenvironments = [\"sys_platform == 'linux' and platform_machine == '{platform.machine()}'\"]\n"
    )


def exported(name: str, pins: list[str]) -> dict[str, Any]:
    """Return the document that uv exports for these packages."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(project(name, pins))
        subprocess.run(["uv", "lock", "--quiet", "--project", folder], check=True)  # noqa: S607  (of the stage's PATH)
        export = ["uv", "export", "--quiet", "--frozen", "--project", folder, "--format", "cyclonedx1.5"]
        return json.loads(subprocess.check_output([*export, "--preview-features", "sbom-export"]))


def bill(document: dict[str, Any], pins: list[str], debian: list[str]) -> dict[str, Any]:
    """Return the document with what is installed, and nothing that packages merely ask for.

    Raises:
        ValueError: a package that is installed is missing in it.
    """
    installed = {_same_name(pin.partition("==")[0]) for pin in pins}
    packages = [one for one in document["components"] if _same_name(one["name"]) in installed]
    missing = installed - {_same_name(one["name"]) for one in packages}
    if missing:
        raise ValueError(f"expected every installed package, found none of {', '.join(sorted(missing))}")
    kept = {one["bom-ref"] for one in packages} | {document["metadata"]["component"]["bom-ref"]}
    dependencies = [
        one | {"dependsOn": [ref for ref in one.get("dependsOn", ()) if ref in kept]}
        for one in document.get("dependencies", ())
        if one["ref"] in kept
    ]
    return document | {"components": [*packages, *map(_of_debian, debian)], "dependencies": dependencies}


def _of_debian(line: str) -> dict[str, str]:
    name, version, architecture = line.split()
    purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _same_name(name: str) -> str:
    """Return the name as PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    name, *files = sys.argv[1:]
    pins = [line.strip() for line in sys.stdin if "==" in line]
    debian = [line for file in files for line in Path(file).read_text().splitlines()]
    print(json.dumps(bill(exported(name, pins), pins, debian), indent=1))


if __name__ == "__main__":
    main()
