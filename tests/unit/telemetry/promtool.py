"""The path of promtool, which some of these tests need, and a mark that skips them without it."""

import shutil

import pytest

PROMTOOL = shutil.which("promtool") or ""
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is not on the PATH (Debian: prometheus)")
