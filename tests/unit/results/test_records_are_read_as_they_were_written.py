import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stepmark.results.record import LaunchHeader, pack_steps, unpack_steps

OLD = """{"schema_version": 1, "launch_id": "b000.torch.eager.float32.w1", "scenario_digest": "%s",
 "cell": {"candidate": "torch", "engine": "torch", "strategy": "ddp", "variant": null, "execution": "eager",
          "levels": ["default"], "precision": "float32", "workers": 1, "batch_per_worker": 32, "unsupported": null},
 "block": 0, "position": 3, "launcher": "ray", "forked": true, "started_at": "2026-11-25T03:00:00.000+00:00",
 "wall_seconds": 1.5, "failure": null,
 "ranks": [{"rank": 0, "host": "h", "cpus": [0], "peak_memory_bytes": 4096, "first_loss": 2.3, "last_loss": 0.1,
            "startup_seconds": {"spawn": 0.01, "import": 2.3, "group": 0.01, "build": 0.05, "first_step": 0.03},
            "windows": [{"kind": "warmup", "steps": 1, "host_nanoseconds": 5},
                        {"kind": "measured", "steps": 2, "host_nanoseconds": 9}],
            "compilations_after_warmup": null, "compilations_after_window": null, "flags": {"torch": "2.13.0"}}]}""" % (
    "0" * 64
)


def test_a_record_of_schema_1_still_loads() -> None:
    header = LaunchHeader.model_validate_json(OLD)
    assert header.cell.key == "torch.eager.float32.w1"
    assert LaunchHeader.model_validate_json(header.model_dump_json()) == header


@given(arrays.arrays(np.int64, st.tuples(st.integers(0, 4), st.integers(0, 50))))
def test_packed_steps_are_unpacked_unchanged(steps: np.ndarray) -> None:
    host, device = unpack_steps(pack_steps(steps))
    np.testing.assert_array_equal(host, steps)
    assert device is None
    host, device = unpack_steps(pack_steps(steps[:, :1], steps))
    np.testing.assert_array_equal(device, steps)


@pytest.mark.parametrize("device", [np.zeros((1, 1)), np.zeros(1, np.int64), np.array([[None]])])
def test_foreign_times_of_a_device_are_refused(device: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        unpack_steps(pack_steps(np.ones((1, 1), np.int64), device))


@pytest.mark.parametrize("blob", [b"", b"garbage", b"PK\x03\x04", pack_steps(np.zeros((1, 1), dtype=np.int64))[:-40]])
def test_bytes_that_are_no_packed_steps_are_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        unpack_steps(blob)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_do_not_crash_the_reader(blob: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        unpack_steps(blob)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"wall_seconds": 1.5', '"wall_seconds": -1'),
        ('"schema_version": 1', '"schema_version": 8'),
        ('"block": 0', '"x": 0'),
    ],
)
def test_a_record_with_a_wrong_value_version_or_key_is_refused(old: str, new: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        LaunchHeader.model_validate_json(OLD.replace(old, new))
