"""Programs that some of these tests need."""

import shutil

import pytest

PROMTOOL = shutil.which("promtool") or ""
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is not on the PATH (Debian: prometheus)")
