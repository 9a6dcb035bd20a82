"""A package, so that its conftest.py does not take the place of tests/conftest.py, from which all tests import."""

import pytest

pytest.register_assert_rewrite("running_hub", "chromium")  # conftest.py imports both before they are plugins.
