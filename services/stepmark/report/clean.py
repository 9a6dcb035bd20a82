"""Text from documents and other processes, without what a reader cannot see or what turns a line around."""

import re

# C0 and C1 controls but tab and line ends, marks and overrides of direction, what no encoding can write.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """The text with each of them as a replacement character."""
    return _UNSEEN.sub("\ufffd", text)
