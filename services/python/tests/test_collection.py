import grpc
import pytest
from cairn_client import (
    AnswerPassages,
    AnswerSentence,
    AnswerSummary,
    AnswerText,
    Document,
    InvalidArgumentError,
    UnavailableError,
)
from cairn_client.v1 import answer_pb2, collections_pb2, search_pb2

from fake_server import rpc_status


@pytest.fixture
def docs(client):
    return client.collection("docs")


def documents(*ids):
    return [{"id": i, "text": "text of " + i} for i in ids]


@pytest.mark.parametrize("name", ["", "a/b"])
def test_id_that_would_be_another_resources_name_is_refused(client, name):
    with pytest.raises(ValueError):
        client.collection(name)


def test_create_sends_settings_and_labels(server, docs):
    info = docs.create(description="d", labels={"a": "b"}, chunker="fixed", chunk_tokens=64,
                       vector_index="ivf_pq")
    request = server.requests["CreateCollection"][0]
    assert request.collection_id == "docs"
    assert request.collection.settings == collections_pb2.CollectionSettings(
        chunker="CHUNKER_FIXED", chunk_tokens=64, vector_index="VECTOR_INDEX_IVF_PQ")
    assert (info.id, info.description, info.labels) == ("docs", "d", {"a": "b"})
    assert info.create_time.timestamp() == 1_700_000_000
    assert info.update_time is None


def test_setting_that_does_not_exist_is_refused(docs):
    with pytest.raises(ValueError, match="structure, sentence, fixed"):
        docs.create(chunker="paragraph")


def test_update_changes_what_is_given_only(server, docs):
    docs.update(description="")
    assert list(server.requests["UpdateCollection"][0].update_mask.paths) == ["description"]
    docs.update(labels={"a": "b"})
    assert list(server.requests["UpdateCollection"][1].update_mask.paths) == ["labels"]
    with pytest.raises(ValueError):
        docs.update()


def test_ingest_counts_what_became_of_documents(server, docs):
    acks = []
    result = docs.ingest(documents("a", "bad", "b"), on_ack=acks.append)
    assert (result.created, result.refused) == (2, 1)
    assert [(a.sequence, a.document_id, a.outcome) for a in acks] == [
        (1, "a", "created"), (2, "bad", "refused"), (3, "b", "created")]
    assert [r.document_id for r in result.refusals] == ["bad"]
    assert isinstance(result.refusals[0].error, InvalidArgumentError)
    assert result.refusals[0].error.reason == "BAD"
    assert acks[0].chunk_ids == [1]


def test_ingest_of_nothing_is_no_error(docs):
    assert docs.ingest([]).created == 0


def test_strict_ingestion_ends_with_the_first_refused_document(server, docs):
    with pytest.raises(InvalidArgumentError, match="is bad"):
        docs.ingest(documents("a", "bad", "b"), strict=True)
    assert "b" not in server.documents


def test_exception_of_the_documents_is_raised_after_those_before_it_are_stored(server, docs):
    def broken():
        yield from documents("a", "b")
        raise KeyError("the source")

    with pytest.raises(KeyError, match="the source"):
        docs.ingest(broken())
    assert sorted(server.documents) == ["a", "b"]


def test_documents_are_not_read_ahead_of_a_server_that_does_not_take_them(server, docs):
    server.go_on.clear()
    taken = []

    def many():
        for i in range(200):
            taken.append(i)
            yield {"id": str(i), "text": "x" * 100_000}  # 20 MB

    ingestion = docs.ingest_stream(many())
    acks = iter(ingestion)
    assert next(acks).document_id == "0"
    server_has = len(taken)  # It waits from here on, and takes no more.
    assert server_has < 200
    server.go_on.set()
    assert len(list(acks)) == 199
    assert ingestion.result.created == 200
    assert len(taken) == 200


def test_acknowledgements_come_while_documents_go(docs):
    acknowledged = []

    def each_after_the_one_before():
        for i in range(5):
            yield {"id": str(i), "text": "t"}
            if i < 4:
                while len(acknowledged) <= i:
                    pass

    docs.ingest(each_after_the_one_before(), on_ack=acknowledged.append, timeout=20)
    assert len(acknowledged) == 5


def test_result_is_not_there_before_the_end(docs):
    ingestion = docs.ingest_stream(documents("a"))
    with pytest.raises(RuntimeError):
        ingestion.result
    ingestion.close()


def test_exception_of_on_ack_breaks_the_ingestion_off(docs):
    def on_ack(ack):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        docs.ingest(documents("a", "b"), on_ack=on_ack)


def test_fields_and_metadata_of_documents_arrive(server, docs):
    docs.ingest([
        Document("a", b"raw", title="T", media_type="text/html", source_uri="http://x",
                 metadata={"b": True, "i": 3, "d": 0.5, "s": "x", "l": ["p", "q"], "e": []}),
        {"_id": "beir", "title": "t", "text": "body", "metadata": {}},
    ], metadata={"all": 1})
    first = server.documents["a"]
    assert (first.raw, first.title, first.media_type, first.source_uri) == (
        b"raw", "T", "text/html", "http://x")
    kinds = {name: value.WhichOneof("kind") for name, value in first.metadata.items()}
    assert kinds == {"b": "bool_value", "i": "int_value", "d": "double_value", "s": "string_value",
                     "l": "string_list", "e": "string_list"}
    assert list(first.metadata["l"].string_list.values) == ["p", "q"]
    assert server.documents["beir"].text == "body"
    assert server.requests["Ingest"][0].metadata["all"].int_value == 1


@pytest.mark.parametrize("document, error", [
    ({"id": "a"}, ValueError),
    ({"text": "a"}, ValueError),
    ({"id": "a", "text": "t", "titel": "t"}, ValueError),
    ({"id": "a", "text": "t", "metadata": {"x": None}}, TypeError),
    ({"id": "a", "text": "t", "metadata": {"x": float("nan")}}, ValueError),
    ({"id": "a", "text": "t", "metadata": {"x": [1]}}, TypeError),
    ({"id": "a", "text": "t", "metadata": {"x": 1 << 64}}, ValueError),
    ({"id": "a", "text": None}, TypeError),
    ({"id": "a", "text": "\ud800"}, ValueError),
    ("text", TypeError),
])
def test_what_is_no_document_is_an_error(server, docs, document, error):
    with pytest.raises(error):
        docs.ingest([document])
    assert not server.documents


def test_search_sends_its_options_and_gives_hits(server, docs):
    hits = docs.search("q", k=3, mode="lexical", granularity="document", filter='a = "b"',
                       fusion="rrf", alpha=0.25, k1=1.5, exact=True, rerank=0, explain=True)
    assert server.requests["Search"][0] == search_pb2.SearchRequest(
        parent="collections/docs", query="q", k=3, mode="SEARCH_MODE_LEXICAL",
        granularity="GRANULARITY_DOCUMENT", filter='a = "b"',
        fusion=search_pb2.FusionOptions(method="FUSION_METHOD_RRF", alpha=0.25),
        bm25=search_pb2.Bm25Options(k1=1.5), exact=True, rerank=0, explain=True,
        view="PASSAGE_VIEW_FULL")
    assert [(h.document_id, h.chunk_id, h.text, h.headings, h.span) for h in hits] == [
        ("d", 3, "about q", ["H"], (2, 9))]


def test_options_that_are_not_given_are_the_servers_to_choose(server, docs):
    docs.search("q")
    request = server.requests["Search"][0]
    assert not request.HasField("fusion")
    assert not request.HasField("bm25")
    assert not request.HasField("rerank")
    assert request.mode == 0


def test_search_many_keeps_order_and_lets_one_query_fail_alone(docs):
    results = list(docs.search_many({"t1": "one", "t2": "bad", "t3": "three"}, k=2))
    assert [r.topic_id for r in results] == ["t1", "t2", "t3"]
    assert results[0].hits[0].text == "about one"
    assert results[2].hits[0].text == "about three"
    with pytest.raises(InvalidArgumentError):
        results[1].hits


def test_search_many_takes_any_number_of_queries(docs):
    results = docs.search_many(str(i) for i in range(1000))
    assert [r.hits[0].text for r in results] == [f"about {i}" for i in range(1000)]


def test_search_many_raises_what_its_queries_raise(docs):
    def broken():
        yield "one"
        raise KeyError("the source")

    results = docs.search_many(broken())
    assert next(results).hits
    with pytest.raises(KeyError):
        next(results)


def test_search_many_refuses_options_that_do_not_exist(docs):
    with pytest.raises(TypeError):
        list(docs.search_many(["q"], depth=3))


def test_answer_has_text_sentences_and_citations(docs):
    answer = docs.ask("why?")
    assert answer.text == "It is so."
    assert [s.supported for s in answer.sentences] == [True]
    assert [(c.document_id, c.support) for c in answer.citations] == [("d", 0.75)]
    assert answer.passages[0].text == "about why?"
    assert (answer.summary.mode, answer.summary.finish) == ("extractive", "complete")


def test_answer_comes_as_events(docs):
    kinds = [type(event) for event in docs.ask_stream("why?", mode="extractive", sentences=2)]
    assert kinds == [AnswerPassages, AnswerText, AnswerText, AnswerSentence, AnswerSummary]


def test_how_much_an_answer_reuses_is_asked_for(server, docs):
    docs.ask("why?", reuse="fast")
    docs.ask("why?")
    asked = [request.generation.reuse for request in server.requests["Answer"]]
    assert asked == [answer_pb2.REUSE_QUALITY_FAST, answer_pb2.REUSE_QUALITY_UNSPECIFIED]
    with pytest.raises(ValueError, match="slow"):
        docs.ask("why?", reuse="slow")


def test_answer_is_repeated_only_before_it_began(server, docs):
    failure = rpc_status(grpc.StatusCode.UNAVAILABLE, "gone")
    server.failures["Answer"] = [failure]
    assert docs.ask("why?").text == "It is so."
    server.failures["Answer middle"] = [failure]
    with pytest.raises(UnavailableError):
        docs.ask("why?")
    assert len(server.requests["Answer"]) == 3


def test_document_has_its_text_metadata_and_spans(server, docs):
    document = docs.get_document("ä b/c.txt")
    assert server.requests["GetDocument"][0].name == (
        "collections/docs/documents/%C3%A4%20b%2Fc.txt")
    assert document.metadata == {"year": 2020, "tags": ["a", "b"]}
    assert document.text_of(document.chunks[0].span) == "Grüße aus Köln"
    assert document.text_of((0, 7)) == "Grüße"


def test_documents_are_listed_over_pages_as_they_are_read(server, docs):
    listing = docs.documents(filter='a = "b"', page_size=1)
    assert next(listing).id == "d0"
    assert len(server.requests["ListDocuments"]) == 1
    assert [d.id for d in listing] == ["d2"]
    assert {r.filter for r in server.requests["ListDocuments"]} == {'a = "b"'}


def test_documents_are_deleted_a_thousand_at_a_time(server, docs):
    ids = [f"d{i}" for i in range(1500)] + ["no1"]
    deleted = docs.delete_documents(iter(ids))
    assert (deleted.count, deleted.missing) == (1500, ["no1"])
    assert [len(r.ids) for r in server.requests["BatchDeleteDocuments"]] == [1000, 501]
    assert docs.delete_documents([]).count == 0
