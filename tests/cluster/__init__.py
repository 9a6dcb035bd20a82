"""A package, so that its conftest.py does not take the place of tests/conftest.py, from which all tests import."""

import pytest

# They are imported before they are plugins.
pytest.register_assert_rewrite("cluster.controlled", "cluster.gpu_node", "running_hub")
