"""A package, so that its conftest.py does not take the place of tests/conftest.py, from which all tests import."""

import pytest

pytest.register_assert_rewrite("cluster.controlled")  # test files import it before pytest sees that it is a plugin
