"""The fake API server keeps the contract that real ones keep."""

from collections.abc import Callable

import pytest
from api_contract import CONTRACT
from fake_api import FakeApi

from stepmark.controller.ports import Api


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_fake_api_server_keeps_the_contract(promise: Callable[[Api], None]) -> None:
    promise(FakeApi())
