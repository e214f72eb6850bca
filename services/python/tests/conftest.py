import pathlib

import pytest
from cairn_client import Client

from fake_server import FakeServer


@pytest.fixture
def server(tmp_path: pathlib.Path):
    with FakeServer(f"unix:{tmp_path}/s") as fake:
        yield fake


@pytest.fixture
def client(server: FakeServer):
    with Client(server.address, timeout=20) as made:
        yield made
