"""Read real samples that installed packages ship: scikit-learn's digits, and the text of Python's own help topics.

A set of samples is the same on every machine with the same packages. `digest` says which one it was.
"""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stepmark.errors import CannotRun
from stepmark.workloads._lengths import Batch
from stepmark.workloads._protocol import DIGITS_SIDE, InputSpec

Indices = NDArray[np.int64]

FIRST_CHARACTER, LAST_CHARACTER = " ", "~"  # The printable characters of ASCII.
_OTHER, _NEW_LINE, _PRINTABLE = 0, 1, 2


class Samples(Protocol):
    """Hold the samples of one source, in the form that a model takes."""

    digest: str
    """The SHA-256 of what was read, in hexadecimal."""

    def __len__(self) -> int: ...

    def take(self, chosen: Indices) -> Batch:
        """Return these samples as a batch, in this order."""


class Digits:
    """Give scikit-learn's 1,797 images of 8 x 8 pixels, whose labels are the digits that they show."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._pixels, self._labels, self.digest = _load_digits()

    def __len__(self) -> int:
        return len(self._labels)

    def take(self, chosen: Indices) -> Batch:
        spec, inputs, labels = self._spec, self._pixels[chosen], self._labels[chosen]
        if spec.next_token:
            return continued(inputs.astype(np.int64))
        if spec.kind == "tokens":
            return inputs.astype(np.int64), labels
        inputs = (inputs / 16.0).astype(np.float32)
        if spec.kind == "image":
            enlarge = spec.shape[1] // DIGITS_SIDE
            inputs = inputs.reshape(len(chosen), 1, DIGITS_SIDE, DIGITS_SIDE).repeat(enlarge, 2).repeat(enlarge, 3)
        return inputs, labels


class PythonDocs:
    """Give pieces of Python's help topics, each as long as the model's sequences, and what follows each character.

    The pieces follow each other in the text and share no character but the last, which is the label of the one before.
    A model with one label per sample predicts the character that follows its piece.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._next_token, self._length = spec.next_token, spec.shape[0]
        self._tokens, self.digest = _load_python_docs()

    def __len__(self) -> int:
        return (len(self._tokens) - 1) // self._length

    def take(self, chosen: Indices) -> Batch:
        places = chosen[:, None] * self._length + np.arange(self._length + 1)
        inputs, labels = continued(self._tokens[places])
        return inputs, labels if self._next_token else labels[:, -1].copy()


_SOURCES: dict[str, type[Digits] | type[PythonDocs]] = {"digits": Digits, "python-docs": PythonDocs}


def samples_of(source: str, spec: InputSpec) -> Samples | None:
    """Return the samples of a source in the form that the model takes, or None where the source draws them at random.

    Raises:
        CannotRun: what has the samples is not installed.
    """
    make = _SOURCES.get(source)
    return None if make is None else make(spec)


def data_digest(source: str) -> str | None:
    """Return the SHA-256 of what a source has, in hexadecimal, or None where samples are drawn at random."""
    digests = {"digits": lambda: _load_digits()[2], "python-docs": lambda: _load_python_docs()[1]}
    return digests[source]() if source in digests else None


def continued(tokens: NDArray[np.int64]) -> Batch:
    """Return each token except the last as input, and the token that follows it as its label."""
    return tokens[:, :-1].copy(), tokens[:, 1:].copy()


@cache
def _load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
    """Return pixels (1797, 64), labels and their digest.

    They are read from scikit-learn's file, since importing scikit-learn would cost each launch 2 s.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise CannotRun("data source 'digits': expected scikit-learn, found none. pip install 'stepmark[digits]'.")
    table = np.loadtxt(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64), hashlib.sha256(table.tobytes()).hexdigest()


@cache
def _load_python_docs() -> tuple[NDArray[np.int64], str]:
    """Return the tokens of the whole text, and the digest of the text.

    Versions of Python have different texts. The tokens are the same in all: 0 for what is not ASCII, 1 for a new line,
    and one for each printable character.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise CannotRun(
            "data source 'python-docs': expected Python's help topics (pydoc_data), found none. Install the whole "
            "standard library."
        ) from None
    text = "\n".join(topics[name] for name in sorted(topics))
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64)
    printable = (codes >= ord(FIRST_CHARACTER)) & (codes <= ord(LAST_CHARACTER))
    tokens = np.where(printable, codes - ord(FIRST_CHARACTER) + _PRINTABLE, _OTHER)
    tokens[codes == ord("\n")] = _NEW_LINE
    return tokens, hashlib.sha256(text.encode()).hexdigest()
