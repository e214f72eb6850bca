import uuid

import grpc
import pytest
from cairn_client import (
    CairnError,
    Client,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)
from google.rpc import error_details_pb2

from fake_server import reason, retry_after, rpc_status

TOKEN = "cairn_" + "s" * 43


def test_token_goes_with_calls_as_a_bearer_header(server):
    with Client(server.address, token=TOKEN) as client:
        client.models()
    assert server.metadata["authorization"] == "Bearer " + TOKEN


def test_token_is_read_from_a_file(server, tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\nwhatever follows\n")
    path.chmod(0o600)
    with Client(server.address, token_file=path) as client:
        client.models()
    assert server.metadata["authorization"] == "Bearer " + TOKEN


def test_token_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o640)
    with pytest.raises(ValueError, match="chmod 600") as caught:
        Client(token_file=path)
    assert TOKEN not in str(caught.value)


def test_token_is_in_no_repr(server):
    with Client(server.address, token=TOKEN) as client:
        shown = repr(client) + repr(client.collection("a")) + repr(vars(client)) + str(
            vars(client._caller))
    assert TOKEN not in shown


def test_token_that_is_no_header_is_refused_without_being_shown(server):
    with pytest.raises(ValueError) as caught:
        Client(server.address, token=TOKEN + "\nx")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("address", ["10.0.0.1:7700", "example.org:7700", "127.example.org:7700"])
def test_token_does_not_leave_the_machine_unencrypted(address):
    with pytest.raises(ValueError, match="unencrypted"):
        Client(address, token=TOKEN)


@pytest.mark.parametrize("address", ["127.0.0.2:1", "localhost:1", "[::1]:1", "unix:/x"])
def test_token_goes_to_this_machine_unencrypted(address):
    Client(address, token=TOKEN).close()


@pytest.mark.parametrize("arguments", [
    {"token": TOKEN, "token_file": "x"}, {"ca": "x"}, {"tls": True, "cert": "x"}])
def test_arguments_that_contradict_each_other_are_refused(arguments):
    with pytest.raises(ValueError):
        Client(**arguments)


@pytest.mark.parametrize("code, kind", [
    (grpc.StatusCode.NOT_FOUND, NotFoundError),
    (grpc.StatusCode.PERMISSION_DENIED, PermissionDeniedError),
    (grpc.StatusCode.FAILED_PRECONDITION, FailedPreconditionError),
    (grpc.StatusCode.OUT_OF_RANGE, CairnError),
])
def test_codes_are_exceptions_with_reason_and_request_id(server, client, code, kind):
    server.failures["GetModels"] = [rpc_status(code, "no", reason("WHY"))]
    with pytest.raises(kind) as caught:
        client.models()
    error = caught.value
    assert (error.code, error.message, error.reason) == (code.name, "no", "WHY")
    assert error.request_id == "the-id"
    assert type(error) is kind
    assert str(error) == f"{code.name}: no (WHY)"


def test_wrong_fields_are_named(server, client):
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="k", description="must be 1 to 10000")
    server.failures["Search"] = [rpc_status(grpc.StatusCode.INVALID_ARGUMENT, "k must be", bad)]
    with pytest.raises(InvalidArgumentError) as caught:
        client.collection("a").search("q", k=-1)
    assert caught.value.fields == {"k": "must be 1 to 10000"}


def test_exhausted_call_is_repeated_when_the_server_says_when(server, client):
    busy = rpc_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_after(0.01))
    server.failures["GetModels"] = [busy, busy]
    assert client.models().dimensions == 2
    assert len(server.requests["GetModels"]) == 3


def test_exhausted_call_is_not_repeated_when_waiting_does_not_help(server, client):
    server.failures["GetModels"] = [rpc_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large")]
    with pytest.raises(ResourceExhaustedError) as caught:
        client.models()
    assert caught.value.retry_after is None
    assert len(server.requests["GetModels"]) == 1


def test_unavailable_call_is_repeated_a_few_times_only(server):
    failure = rpc_status(grpc.StatusCode.UNAVAILABLE, "starting", reason("STORE_OPENING"))
    server.failures["GetModels"] = [failure] * 10
    with Client(server.address, attempts=3) as client, pytest.raises(UnavailableError) as caught:
        client.models()
    assert caught.value.reason == "STORE_OPENING"
    assert len(server.requests["GetModels"]) == 3


def test_other_failures_are_not_repeated(server, client):
    server.failures["GetModels"] = [rpc_status(grpc.StatusCode.INTERNAL, "bug")]
    with pytest.raises(CairnError):
        client.models()
    assert len(server.requests["GetModels"]) == 1


def test_retries_end_with_the_timeout(server):
    late = rpc_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_after(3600))
    server.failures["GetModels"] = [late]
    with Client(server.address, timeout=5) as client, pytest.raises(ResourceExhaustedError):
        client.models()


def test_repeated_change_carries_the_same_request_id(server, client):
    server.failures["DeleteDocument"] = [rpc_status(grpc.StatusCode.UNAVAILABLE, "gone")]
    client.collection("a").delete_document("x")
    first, second = server.requests["DeleteDocument"]
    assert first.request_id == second.request_id
    assert str(uuid.UUID(first.request_id)) == first.request_id
    client.collection("a").delete_document("x")
    assert server.requests["DeleteDocument"][2].request_id != first.request_id


def test_no_server_is_unavailable(tmp_path):
    with Client(f"unix:{tmp_path}/nobody", attempts=1) as client:
        assert not client.is_serving()
        with pytest.raises(UnavailableError):
            client.models()
        with pytest.raises(TimeoutError):
            client.wait_until_serving(timeout=0)


def test_collections_are_listed_over_pages(client):
    assert [c.id for c in client.collections()] == ["a", "b", "c"]


def test_texts_are_embedded_in_batches_and_in_order(server, client):
    vectors = client.embed((str(i) for i in range(600)), use="query")
    assert vectors == [[float(i), 1.0] for i in range(600)]
    assert [len(r.texts) for r in server.requests["Embed"]] == [256, 256, 88]
    assert client.embed([]) == []
    with pytest.raises(TypeError):
        client.embed("one text")


def test_passages_are_scored(client):
    assert client.rerank("q", ["a", "bbb"]) == [1.0, 3.0]


def test_stats_are_those_of_the_store(client):
    stats = client.stats()
    assert (stats.version, stats.uuid, stats.disk_bytes) == ("1.2.3", "u", 5)
    assert stats.collections[0].statistics.documents == 9
