"""A package, so that its conftest.py does not take the place of tests/conftest.py, from which all tests import."""

import pytest

pytest.register_assert_rewrite("cluster.controlled", "running_hub")  # They are imported before they are plugins.
