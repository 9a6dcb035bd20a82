"""What images are built from, what their bills of materials list, and that SECURITY.md names tests that exist."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import sbom

DOCKERFILES = sorted([*ROOT.glob("Dockerfile"), *(ROOT / "k8s").rglob("*Dockerfile")])
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_image_is_built_from_another_base_than_the_one_argument(file: Path) -> None:
    text = file.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    stages = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    assert bases
    assert set(bases) <= {"scratch", "$BASE", *stages}
    assert "$BASE" not in bases or len(re.findall(r"^ARG BASE=\S+$", text, re.MULTILINE)) == 1


def test_both_images_have_a_label_that_names_their_base() -> None:
    assert DOCKERFILE.count('LABEL org.opencontainers.image.base.name="$BASE"') == 2


def test_python_packages_are_installed_by_hash_alone() -> None:
    commands = re.sub(r"\\\n", " ", DOCKERFILE)
    installs = re.findall(r"pip install [^&\n]*", commands)
    assert len(installs) >= 5
    assert [one for one in installs if "--require-hashes" not in one and "--no-deps /wheel/*.whl" not in one] == []


def test_requirements_are_pinned_with_hashes_and_without_addresses() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        pins = re.findall(r"^[A-Za-z0-9][^\n]*", file.read_text(), re.MULTILINE)
        assert pins
        assert all(re.match(r"\S+==\S+ .*\\$", pin) for pin in pins), file.name
        assert "://" not in file.read_text()


def component(name: str, version: str) -> dict[str, str]:
    return {"type": "library", "bom-ref": f"{name}@{version}", "name": name, "version": version}


EXPORTED: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "metadata": {"component": component("image", "0")},
    "components": [component("arro3-core", "1"), component("kubernetes", "2"), component("aiohttp", "3")],
    "dependencies": [
        {"ref": "image@0", "dependsOn": ["arro3-core@1", "kubernetes@2"]},
        {"ref": "kubernetes@2", "dependsOn": ["aiohttp@3"]},
        {"ref": "aiohttp@3"},
    ],
}


def test_a_bill_of_materials_lists_what_is_installed_and_nothing_else() -> None:
    made = sbom.bill(EXPORTED, ["arro3_core==1", "kubernetes==2"], ["libc6 2.36-9 amd64"])
    assert [one["name"] for one in made["components"]] == ["arro3-core", "kubernetes", "libc6"]
    assert made["components"][2]["purl"] == "pkg:deb/debian/libc6@2.36-9?arch=amd64"
    assert made["dependencies"][1:] == [{"ref": "kubernetes@2", "dependsOn": []}]


def test_an_installed_package_that_the_bill_of_materials_lacks_ends_the_build() -> None:
    with pytest.raises(ValueError, match="found none of numpy"):
        sbom.bill(EXPORTED, ["numpy==2"], [])


def test_every_threat_names_tests_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    rows = re.findall(r"^\| (?!threat|---)(.*)\|$", text, re.MULTILINE)
    assert len(rows) >= 13
    for row in rows:
        named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
