"""The CPU limit of a container, read from the files of both versions of cgroups."""

from pathlib import Path

import pytest

from stepmark.results import environment

V2, V1 = "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_{}_us"


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({V2: "250000 100000"}, 2.5),
        ({V2: "max 100000"}, None),
        ({V1.format("quota"): "400000", V1.format("period"): "100000"}, 4.0),
        ({V1.format("quota"): "-1", V1.format("period"): "100000"}, None),
        ({}, None),
    ],
)
def test_a_quota_is_read_as_cores_and_is_none_where_there_is_no_limit(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], limit: float | None
) -> None:
    def read(path: Path) -> str | None:
        return files.get(str(path))

    monkeypatch.setattr(environment, "_read", read)
    assert environment.cgroup_cpu_limit() == limit
