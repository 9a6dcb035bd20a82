"""Unpack steps from an untrusted client, after checking how large they would be."""

import io
import math
import struct
import zipfile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from stepmark.results.record import DEVICE_STEPS, HOST_STEPS, LaunchHeader, unpack_steps
from stepmark.results.wire import STEPS_BYTES_MOST

_END, _ZIP64_END = b"PK\x05\x06", b"PK\x06\x07"
_END_BYTES, _ZIP64_END_BYTES = 22, 20
_DIRECTORY_BYTES_MOST = 1024
_NPY_HEADER_BYTES_MOST = 1024


_NAMES = ([f"{HOST_STEPS}.npy"], [f"{HOST_STEPS}.npy", f"{DEVICE_STEPS}.npy"])


def checked_steps(header: LaunchHeader, blob: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the arrays that `pack_steps` packed.

    Raises:
        ValueError: The bytes are not such arrays, they are larger than allowed, or they do not fit the header.
    """
    _refuse_bomb(blob)
    host, device = unpack_steps(blob)
    for steps in (host, device):
        if steps is not None:
            _refuse_other_ranks(header, steps)
    return host, device


def _refuse_other_ranks(header: LaunchHeader, steps: NDArray[np.int64]) -> None:
    if header.failure is not None:
        if steps.size:
            raise ValueError("steps_npz: expected no steps of a failed launch, found some")
    elif len(steps) != len(header.ranks) or not header.ranks:
        raise ValueError(f"steps_npz: expected a row for each of {len(header.ranks)} ranks, found {len(steps)}")


def _refuse_bomb(blob: bytes) -> None:
    """Check the sizes in an .npz, which is a zip, before it is unpacked.

    Its directory is read only if it is small, and its members only if they have the names and sizes that are allowed.
    """
    if len(blob) < _END_BYTES or blob[-_END_BYTES:][:4] != _END:
        raise ValueError("steps_npz: expected an .npz, found something else")
    entries, directory_bytes = struct.unpack_from("<HL", blob, len(blob) - _END_BYTES + 10)
    zip64 = blob[-_END_BYTES - _ZIP64_END_BYTES : -_END_BYTES][:4] == _ZIP64_END
    if zip64 or entries not in map(len, _NAMES) or directory_bytes > _DIRECTORY_BYTES_MOST:
        raise ValueError("steps_npz: expected an .npz of one array or two, found another zip")
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            _check_members(archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"steps_npz: expected an .npz, found {type(error).__name__}") from None


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if [member.filename for member in members] not in _NAMES:
        raise ValueError(f"steps_npz: expected an .npz of {HOST_STEPS}, found other arrays")
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ValueError("steps_npz: expected deflate, found another compression")
    if sum(member.file_size for member in members) > STEPS_BYTES_MOST + len(members) * _NPY_HEADER_BYTES_MOST:
        raise ValueError(f"steps_npz: expected at most {STEPS_BYTES_MOST} bytes of steps, found more")
    for member in members:
        with archive.open(member) as stream:
            _refuse_false_shape(stream, member.file_size)


def _refuse_false_shape(stream: IO[bytes], file_bytes: int) -> None:
    """Check the array's header, since numpy allocates what the header announces."""
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("steps_npz: expected an array of .npy version 1, found another")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_NPY_HEADER_BYTES_MOST)
    if dtype != np.int64 or math.prod(shape) * 8 > file_bytes:
        raise ValueError("steps_npz: expected 8 bytes for each step, found an array of another size")
