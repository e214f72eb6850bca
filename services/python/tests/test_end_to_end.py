"""Against `cairn serve` over a Unix socket. CAIRN_BINARY says where the program is."""

from __future__ import annotations

import ctypes
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from cairn_client import (
    Client,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)

_BUILT = pathlib.Path(__file__).resolve().parents[3] / "build" / "release" / "cairn"
CAIRN_TOML = pathlib.Path(__file__).resolve().parents[2] / "systemd" / "cairn.toml"
CAIRN = pathlib.Path(os.environ.get("CAIRN_BINARY", _BUILT))

pytestmark = pytest.mark.skipif(
    "CAIRN_BINARY" not in os.environ and not CAIRN.exists(), reason=f"{CAIRN} is not built")

TEXTS = {
    "pin": "A pin holds a package back: apt keeps it at the version that the pin names.",
    "source": "The file sources.list names the repositories that packages come from.",
    "köln": "Grüße aus Köln. In Köln steht ein großer Dom, den viele Besucher sehen wollen.",
}


def start(folder: pathlib.Path, *flags: str) -> tuple[subprocess.Popen, str]:
    address = f"unix:{folder}/socket"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
    environment["HOME"] = str(folder)  # With no settings of the user's.
    process = subprocess.Popen(
        [str(CAIRN), "serve", "--store", str(folder / "store"), "--listen", address, "--log",
         str(folder / "log"), *flags], env=environment)
    return process, address


def wait_until_serving(process: subprocess.Popen, client: Client) -> None:
    """Waits no longer than the process lives; what it had to say is on standard error."""
    for _ in range(600):
        if client.is_serving():
            return
        assert process.poll() is None, "cairn serve has ended"
        time.sleep(0.1)
    pytest.fail("cairn serve does not serve after a minute")


def stop(process: subprocess.Popen) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(60)
    finally:
        process.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "snapshots").mkdir()
    process, address = start(folder, "--snapshots", str(folder / "snapshots"))
    try:
        with Client(address) as client:
            wait_until_serving(process, client)
            yield client, folder
    finally:
        assert stop(process) == 0


@pytest.fixture
def client(served):
    return served[0]


@pytest.fixture
def docs(client, request):
    collection = client.collection(request.node.name[:64])
    collection.create(description="of a test", labels={"by": "pytest"})
    collection.ingest(
        {"id": name, "title": name, "text": text, "metadata": {"length": len(text)}}
        for name, text in TEXTS.items())
    yield collection
    collection.delete(force=True).wait(60)


def test_collection_is_made_found_changed_and_deleted(client):
    made = client.collection("kept").create(description="d", chunk_tokens=64)
    assert made.settings.chunk_tokens == 64
    assert made.create_time is not None
    assert "kept" in [c.id for c in client.collections()]
    assert client.collection("kept").update(labels={"a": "b"}).labels == {"a": "b"}
    assert client.collection("kept").get().description == "d"
    client.collection("kept").delete().wait(60)
    with pytest.raises(NotFoundError) as caught:
        client.collection("kept").get()
    assert caught.value.reason == "COLLECTION_NOT_FOUND"
    assert caught.value.request_id


def test_document_is_ingested_searched_and_read(docs):
    hit = docs.search("how do I hold a package back?", k=1)[0]
    assert hit.document_id == "pin"
    assert hit.metadata == {"length": len(TEXTS["pin"])}
    document = docs.get_document("pin")
    assert document.text_of(hit.span) == hit.text
    assert [d.id for d in docs.documents()] == sorted(TEXTS, key=lambda i: i.encode())
    assert [d.id for d in docs.documents(filter="length < 70")] == ["source"]


def test_span_of_umlauts_is_their_text(docs):
    hit = docs.search("Dom in Köln", k=1, mode="lexical")[0]
    assert hit.document_id == "köln"
    assert docs.get_document("köln").text_of(hit.span) == hit.text


def test_ingesting_again_changes_nothing(docs):
    result = docs.ingest({"id": i, "title": i, "text": t, "metadata": {"length": len(t)}}
                         for i, t in TEXTS.items())
    assert (result.unchanged, result.created, result.replaced) == (3, 0, 0)


def test_many_documents_are_ingested_and_acknowledged_in_order(docs):
    sequences = []
    result = docs.ingest(({"id": f"n{i}", "text": f"Number {i} of many."} for i in range(2000)),
                         on_ack=lambda ack: sequences.append(ack.sequence))
    assert result.created == 2000
    assert sequences == list(range(1, 2001))
    assert docs.get().statistics.documents == 2003


def test_bad_document_is_refused_alone(docs):
    result = docs.ingest([{"id": "", "text": "t"}, {"id": "bytes", "text": b"\xff"},
                          {"id": "good", "text": "t"}])
    assert (result.created, result.refused) == (1, 2)
    assert all(isinstance(r.error, InvalidArgumentError) for r in result.refusals)
    with pytest.raises(InvalidArgumentError):
        docs.ingest([{"id": "", "text": "t"}], strict=True)


def test_many_queries_are_answered_in_order(docs):
    queries = {f"t{i}": text for i, text in enumerate(list(TEXTS.values()) * 20)}
    results = list(docs.search_many(queries, k=1))
    assert [r.topic_id for r in results] == list(queries)
    assert [r.hits[0].document_id for r in results] == list(TEXTS) * 20
    failed = list(docs.search_many(["fine", ""], k=1, mode="lexical"))
    assert failed[0].error is None


def test_answer_quotes_and_cites(docs):
    answer = docs.ask("Which file names the repositories?", mode="extractive", sentences=1)
    assert "sources.list" in answer.text
    citation = answer.citations[0]
    assert citation.document_id == "source"
    assert "sources.list" in docs.get_document("source").text_of(citation.span)
    assert answer.summary.finish == "complete"


def test_wrong_request_names_the_field(docs):
    with pytest.raises(InvalidArgumentError) as caught:
        docs.search("q", k=-1)
    assert "k" in caught.value.fields
    with pytest.raises(InvalidArgumentError):
        docs.search("q", filter="length <")
    with pytest.raises(FailedPreconditionError):
        docs.ask("q", mode="generated")


def test_deleted_documents_are_not_found(docs):
    docs.delete_document("pin")
    with pytest.raises(NotFoundError):
        docs.delete_document("pin")
    docs.delete_document("pin", allow_missing=True)
    deleted = docs.delete_documents(["source", "nobody"])
    assert (deleted.count, deleted.missing) == (1, ["nobody"])
    assert [d.id for d in docs.documents()] == ["köln"]
    with pytest.raises(FailedPreconditionError) as caught:
        docs.delete()
    assert caught.value.reason == "COLLECTION_NOT_EMPTY"


def test_models_embed(client):
    info = client.models()
    vectors = client.embed(["a package", "a repository"])
    assert [len(v) for v in vectors] == [info.dimensions] * 2
    assert sum(x * x for x in vectors[0]) == pytest.approx(1, abs=1e-3)
    with pytest.raises(FailedPreconditionError):
        client.rerank("q", ["p"])


def test_store_is_compacted_verified_and_copied(client, docs, served):
    assert client.compact(docs.id).wait(120) is None
    verified = client.verify(deep=True)
    result = verified.wait(120)
    assert result.problem_count == 0
    assert result.documents >= 3
    assert client.snapshot("one").wait(120) == "one"
    assert (served[1] / "snapshots" / "one").is_dir()
    assert verified.name in [o.name for o in client.operations()]
    assert client.operation(verified.name).done
    assert docs.id in [c.id for c in client.stats().collections]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")

    def token(name: str, *flags: str) -> str:
        made = subprocess.run(
            [str(CAIRN), "token", "create", "--token-file", str(folder / "tokens"), "--name", name,
             *flags], check=True, capture_output=True, text=True)
        return made.stdout.strip()

    tokens = {
        "one": token("one", "--tenant", "one", "--read", "*", "--write", "*", "--admin", "*"),
        "two": token("two", "--tenant", "two", "--read", "*", "--write", "*", "--admin", "*"),
        "reader": token("reader", "--tenant", "one", "--read", "docs"),
    }
    process, address = start(folder, "--token-file", str(folder / "tokens"))
    try:
        with Client(address) as client:
            wait_until_serving(process, client)
        yield address, tokens, folder
    finally:
        assert stop(process) == 0


def test_call_without_a_token_the_server_knows_is_refused(guarded):
    address, tokens, _ = guarded
    for token in (None, "cairn_" + "A" * 43, "x"):
        with Client(address, token=token) as client, pytest.raises(UnauthenticatedError):
            client.stats()


def test_tenant_finds_nothing_of_another(guarded):
    address, tokens, _ = guarded
    with Client(address, token=tokens["one"]) as one, Client(address, token=tokens["two"]) as two:
        one.collection("secret").ingest([{"id": "a", "text": "a secret of one"}])
        assert [c.id for c in one.collections()] == ["secret"]
        assert list(two.collections()) == []
        assert two.stats().collections == []
        for attempt in (
            lambda c: c.get(),
            lambda c: c.search("secret"),
            lambda c: c.ask("secret"),
            lambda c: c.get_document("a"),
            lambda c: list(c.documents()),
            lambda c: c.delete(force=True),
        ):
            with pytest.raises(NotFoundError):
                attempt(two.collection("secret"))
        operation = one.compact("secret")
        with pytest.raises(NotFoundError):
            two.operation(operation.name)
        operation.wait(60)
        two.collection("secret").ingest([{"id": "b", "text": "of two"}])
        assert [d.id for d in one.collection("secret").documents()] == ["a"]


def test_token_allows_what_it_says_only(guarded):
    address, tokens, _ = guarded
    with Client(address, token=tokens["one"]) as one:
        one.collection("docs").ingest([{"id": "a", "text": "a text"}])
    with Client(address, token=tokens["reader"]) as reader:
        assert reader.collection("docs").search("text")[0].document_id == "a"
        assert [c.id for c in reader.collections()] == ["docs"]
        for attempt in (
            lambda: reader.collection("docs").ingest([{"id": "b", "text": "t"}]),
            lambda: reader.collection("docs").delete(),
            lambda: reader.collection("other").search("text"),
            lambda: reader.compact(),
        ):
            with pytest.raises(PermissionDeniedError) as caught:
                attempt()
            assert caught.value.reason == "PERMISSION_MISSING"


def test_log_holds_no_token_and_no_text(guarded):
    address, tokens, folder = guarded
    with Client(address, token=tokens["one"]) as one:
        one.collection("log").ingest([{"id": "a", "text": "unspeakable"}])
        one.collection("log").search("unspeakable")
    log = (folder / "log").read_text()
    assert "cairn.v1.Search/Search" in log
    for secret in (*tokens.values(), "unspeakable"):
        assert secret not in log


def threads_that_take(process: subprocess.Popen, number: int) -> list[int]:
    found = []
    for thread in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        blocked = re.search(r"^SigBlk:\s+(\w+)", (thread / "status").read_text(), re.MULTILINE)
        if not int(blocked.group(1), 16) >> (number - 1) & 1:
            found.append(int(thread.name))
    return found


def test_signal_that_a_librarys_thread_gets_ends_nothing_but_calls(tmp_path):
    libc = ctypes.CDLL(None, use_errno=True)
    process, address = start(tmp_path)
    try:
        with Client(address) as client:
            wait_until_serving(process, client)
            for _ in range(2):
                for thread in threads_that_take(process, signal.SIGHUP):
                    assert libc.tgkill(process.pid, thread, signal.SIGHUP) == 0
                time.sleep(0.3)
            assert process.poll() is None
            assert client.models().dimensions > 0
    finally:
        assert stop(process) == 0


def test_sample_configuration_names_every_setting_and_is_accepted(tmp_path):
    sample = CAIRN_TOML.read_text()
    named = set(re.findall(r"^#? ?([a-z][a-z-]*) = ", sample, re.MULTILINE))
    help_text = subprocess.run([str(CAIRN), "serve", "--help"], check=True, capture_output=True,
                               text=True).stdout
    flags = set(re.findall(r"^\s+(?:-\w,)?--([a-z][a-z-]*)", help_text, re.MULTILINE))
    assert named == flags - {"help"}
    # With all that is commented out and needs no files.
    needs_files = {"tls-cert", "tls-key", "client-ca", "token-file", "embedder", "reranker",
                   "model", "metrics", "snapshots", "listen", "store",
                   "kv-reuse", "kv-build"}  # These take a model.
    lines = ["[serve]"]
    for name, value in re.findall(r"^# ([a-z][a-z-]*) = (.*)$", sample, re.MULTILINE):
        if name not in needs_files and name != "log":  # A flag of `start`.
            lines.append(f"{name} = {value}")
    settings = tmp_path / "all.toml"
    settings.write_text("\n".join(lines) + "\n")
    for path in (CAIRN_TOML, settings):
        folder = tmp_path / path.stem
        folder.mkdir()
        process, address = start(folder, "--config", str(path))
        try:
            with Client(address) as client:
                wait_until_serving(process, client)
        finally:
            assert stop(process) == 0
