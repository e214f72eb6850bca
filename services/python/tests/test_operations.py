import pytest
from cairn_client import CancelledError, NotFoundError


def test_operation_is_waited_for_and_tells_its_progress(client):
    operation = client.compact("docs")
    assert (operation.method, operation.state) == ("cairn.v1.Admin/CompactStore", "running")
    assert (operation.progress.stage, operation.progress.done, operation.progress.total) == (
        "merge", 1, 4)
    assert not operation.done
    assert operation.wait() is None
    assert operation.done
    assert operation.state == "done"


def test_operation_tells_its_progress_while_it_is_waited_for(client):
    seen = []
    client.compact().wait(on_progress=seen.append)
    assert [p.done for p in seen] == [1, 0]


def test_operation_has_its_result(client):
    result = client.verify(deep=True).wait()
    assert (result.chunks, result.problems, result.problem_count) == (4, ["p"], 1)
    assert client.snapshot("monday").wait() == "monday"


def test_result_is_not_there_before_the_end(client):
    with pytest.raises(RuntimeError):
        client.compact().result()


def test_wait_ends_with_its_timeout(server, client):
    server.waits_until_done = 1000
    with pytest.raises(TimeoutError):
        client.compact().wait(timeout=0)


def test_cancelled_operation_raises_that(client):
    operation = client.collection("docs").delete(force=True)
    operation.cancel()
    with pytest.raises(CancelledError, match="was cancelled"):
        operation.wait()


def test_operation_is_found_by_its_name(server, client):
    name = client.compact().name
    assert client.operation(name).name == name
    assert [o.name for o in client.operations()] == [name]
    with pytest.raises(NotFoundError) as caught:
        client.operation("operations/2")
    assert caught.value.reason == "OPERATION_NOT_FOUND"


def test_collection_to_work_on_is_named(server, client):
    client.compact("docs")
    client.verify()
    assert server.requests["CompactStore"][0].collection == "collections/docs"
    assert server.requests["VerifyStore"][0].collection == ""


def test_keys_and_values_are_built_for_a_collection(server, client):
    operation = client.build_kv("docs")
    assert server.requests["BuildKv"][0].collection == "collections/docs"
    assert operation.wait().chunks == 7
