#include "index/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "index/row_codec.h"

namespace cairn::index {
namespace {

std::string RandomText(std::mt19937& rng, size_t most) {
  std::string s(rng() % (most + 1), '\0');
  for (char& c : s) c = static_cast<char>(rng());
  return s;
}

chunking::Metadata RandomMetadata(std::mt19937& rng) {
  chunking::Metadata m;
  for (size_t i = rng() % 6; i > 0; --i) {
    chunking::MetadataValue v;
    switch (rng() % 5) {
      case 0:
        v = rng() % 2 == 0;
        break;
      case 1:
        v = static_cast<int64_t>((uint64_t{rng()} << 32) | rng());
        break;
      case 2:
        v = std::ldexp(static_cast<double>(rng()) - 2e9, static_cast<int>(rng() % 200) - 100);
        break;
      case 3:
        v = RandomText(rng, 20);
        break;
      default:
        v = std::vector<std::string>{RandomText(rng, 5), RandomText(rng, 5)};
    }
    m[RandomText(rng, 10)] = v;
  }
  return m;
}

ChunkRow RandomChunk(std::mt19937& rng) {
  ChunkRow row;
  row.document_id = RandomText(rng, 30);
  row.ordinal = rng();
  row.text = RandomText(rng, 300);
  row.span.begin = rng();
  row.span.end = row.span.begin + row.text.size();
  row.token_count = rng();
  for (size_t i = rng() % 4; i > 0; --i) row.headings.push_back(RandomText(rng, 20));
  row.gap = RandomText(rng, 4);
  return row;
}

ForwardRow RandomForward(std::mt19937& rng) {
  ForwardRow row;
  uint64_t term = rng() % 5;
  for (size_t i = rng() % 50; i > 0 && term <= 0xffffffff; --i) {
    row.terms.push_back({static_cast<TermId>(term), 1 + static_cast<uint32_t>(rng() % 9)});
    row.length += row.terms.back().count;
    term += 1 + rng() % (rng() % 2 == 0 ? 10 : 100'000'000);
  }
  return row;
}

NotesRow RandomNotes(std::mt19937& rng) {
  NotesRow row;
  row.created_ms = static_cast<int64_t>((uint64_t{rng()} << 32 | rng()) >> (1 + rng() % 60));
  row.changed_ms = static_cast<int64_t>((uint64_t{rng()} << 32 | rng()) >> (1 + rng() % 60));
  row.description = RandomText(rng, 300);
  for (size_t i = rng() % 6; i > 0; --i) row.labels[RandomText(rng, 9)] = RandomText(rng, 200);
  return row;
}

TEST(Rows, EveryRowDecodesToWhatWasEncoded) {
  std::mt19937 rng(1);
  for (int i = 0; i < 500; ++i) {
    const std::string key = RandomText(rng, 20);
    DocumentRow d;
    d.content_hash = Hash128(RandomText(rng, 9));
    d.text_hash = Hash128(RandomText(rng, 9));
    d.first_chunk = rng();
    d.chunk_count = rng();
    d.text_bytes = rng();
    d.trailing = RandomText(rng, 5);
    d.title = RandomText(rng, 40);
    d.source_uri = RandomText(rng, 40);
    d.media_type = RandomText(rng, 10);
    d.metadata = RandomMetadata(rng);
    absl::StatusOr<DocumentRow> d2 = DecodeDocument(key, Encode(key, d));
    ASSERT_TRUE(d2.ok()) << d2.status();
    EXPECT_EQ(d2->metadata, d.metadata);
    EXPECT_EQ(d2->first_chunk, d.first_chunk);
    EXPECT_EQ(d2->title, d.title);
    EXPECT_EQ(Encode(key, *d2), Encode(key, d));

    const ChunkRow c = RandomChunk(rng);
    absl::StatusOr<ChunkRow> c2 = DecodeChunk(key, Encode(key, c));
    ASSERT_TRUE(c2.ok()) << c2.status();
    EXPECT_EQ(c2->text, c.text);
    EXPECT_EQ(c2->span, c.span);
    EXPECT_EQ(c2->headings, c.headings);
    EXPECT_EQ(Encode(key, *c2), Encode(key, c));

    const NotesRow n = RandomNotes(rng);
    absl::StatusOr<NotesRow> n2 = DecodeNotes(key, Encode(key, n));
    ASSERT_TRUE(n2.ok()) << n2.status();
    EXPECT_EQ(*n2, n);

    const ForwardRow f = RandomForward(rng);
    ForwardRow f2;
    ASSERT_TRUE(DecodeForward(key, Encode(key, f), &f2).ok());
    EXPECT_EQ(f2.length, f.length);
    EXPECT_EQ(f2.terms, f.terms);
  }
}

TEST(Rows, SettingsCountersTermsAndVectorsRoundTrip) {
  CollectionRow c;
  c.id = 0xfffffffe;
  c.settings.chunker = "fixed";
  c.settings.overlap_tokens = 7;
  c.settings.embedder_fingerprint = "abc";
  c.settings.dim = 256;
  absl::StatusOr<CollectionRow> c2 = DecodeCollection("k", Encode("k", c));
  ASSERT_TRUE(c2.ok());
  EXPECT_EQ(c2->id, c.id);
  EXPECT_EQ(c2->settings, c.settings);

  ReembeddingRow r;
  r.source = 17;
  r.model = "a model";
  r.collection = c;
  const std::string encoded = Encode("k", r);
  absl::StatusOr<ReembeddingRow> r2 = DecodeReembedding("k", encoded);
  ASSERT_TRUE(r2.ok());
  EXPECT_EQ(r2->source, 17u);
  EXPECT_EQ(r2->model, "a model");
  EXPECT_EQ(r2->collection.id, c.id);
  EXPECT_EQ(r2->collection.settings, c.settings);
  EXPECT_TRUE(absl::IsDataLoss(DecodeReembedding("other", encoded).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeReembedding("k", Encode("k", c)).status()));

  const CountersRow counters{std::numeric_limits<uint64_t>::max(), 3};
  absl::StatusOr<CountersRow> counters2 = DecodeCounters("k", Encode("k", counters));
  ASSERT_TRUE(counters2.ok());
  EXPECT_EQ(counters2->next_chunk, counters.next_chunk);
  EXPECT_EQ(counters2->next_collection, 3u);

  EXPECT_EQ(*DecodeTerm("k", EncodeTerm("k", 0xffffffff)), 0xffffffffu);

  const std::vector<float> v = {0.5f, -1e-30f, 3e38f};
  std::vector<float> v2(3);
  ASSERT_TRUE(DecodeVector("k", EncodeVector("k", v), absl::MakeSpan(v2)).ok());
  EXPECT_EQ(v2, v);
}

TEST(Rows, EveryFlippedBitAndEveryCutIsFound) {
  std::mt19937 rng(2);
  const std::string key = ChunkKey(3, 77);
  const std::string row = Encode(key, RandomChunk(rng));
  for (size_t i = 0; i < row.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = row;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_FALSE(DecodeChunk(key, bad).ok()) << i;
    }
    EXPECT_EQ(DecodeChunk(key, row.substr(0, i)).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST(Rows, EveryFlippedBitAndEveryCutOfNotesIsFound) {
  const std::string key = NotesKey(3);
  const std::string row = Encode(key, NotesRow{1, 2, "what it is", {{"a", "b"}, {"c", ""}}});
  for (size_t i = 0; i < row.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = row;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_FALSE(DecodeNotes(key, bad).ok()) << i;
    }
    EXPECT_TRUE(absl::IsDataLoss(DecodeNotes(key, row.substr(0, i)).status()));
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeNotes(NotesKey(4), row).status()));
}

TEST(Rows, ATimeBeforeThereWasUnixIsNotKnown) {
  const std::string key = NotesKey(1);
  NotesRow row;
  row.created_ms = -1;
  row.changed_ms = std::numeric_limits<int64_t>::max();
  absl::StatusOr<NotesRow> read = DecodeNotes(key, Encode(key, row));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->created_ms, 0);
  EXPECT_EQ(read->changed_ms, row.changed_ms);
}

TEST(Rows, ARowUnderAnotherKeyIsFound) {
  std::mt19937 rng(3);
  const std::string row = Encode(ChunkKey(1, 1), RandomChunk(rng));
  EXPECT_TRUE(DecodeChunk(ChunkKey(1, 1), row).ok());
  EXPECT_EQ(DecodeChunk(ChunkKey(1, 2), row).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Rows, ANewerRowVersionIsNamedAsSuch) {
  std::string body = {2, 0};
  const uint32_t checksum = Checksum32("k", body);
  body.append(reinterpret_cast<const char*>(&checksum), 4);
  const absl::Status s = DecodeTerm("k", body).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(s.message()), ::testing::HasSubstr("newer cairn"));
}

// Rows that carry a right checksum over nonsense, as a bug or an attacker would write them.
TEST(Rows, WellSealedNonsenseIsRefused) {
  const auto seal = [](std::string payload) {
    RowWriter w;
    w.Raw(payload);
    return std::move(w).Finish("k");
  };
  // A count of 2^60 strings must not be allocated.
  EXPECT_FALSE(DecodeChunk("k", seal(std::string("\x01x\x00\x00\x01\x00", 6) +
                                     "\xff\xff\xff\xff\xff\xff\xff\xff\x0f"))
                   .ok());
  ForwardRow f;
  // Term delta 0, occurrences 0, a length that disagrees, ids past 2^32.
  EXPECT_FALSE(DecodeForward("k", seal(std::string("\x01\x01\x00\x01", 4)), &f).ok());
  EXPECT_FALSE(DecodeForward("k", seal(std::string("\x00\x01\x01\x00", 4)), &f).ok());
  EXPECT_FALSE(DecodeForward("k", seal(std::string("\x02\x01\x01\x01", 4)), &f).ok());
  EXPECT_FALSE(DecodeForward("k",
                             seal(std::string("\x02\x02\xff\xff\xff\xff\x0f\x01", 8) +
                                  std::string("\xff\xff\xff\xff\x0f\x01", 6)),
                             &f)
                   .ok());
  // Notes: labels that do not ascend, a label twice, more labels than there are bytes, a time
  // beyond 63 bits.
  EXPECT_TRUE(
      DecodeNotes("k", seal(std::string("\x01\x02\x00\x02\x01\x61\x00\x01\x62\x00", 10))).ok());
  EXPECT_FALSE(
      DecodeNotes("k", seal(std::string("\x01\x02\x00\x02\x01\x62\x00\x01\x61\x00", 10))).ok());
  EXPECT_FALSE(
      DecodeNotes("k", seal(std::string("\x01\x02\x00\x02\x01\x61\x00\x01\x61\x00", 10))).ok());
  EXPECT_FALSE(DecodeNotes("k", seal(std::string("\x01\x02\x00\x09\x01\x61\x00", 7))).ok());
  EXPECT_FALSE(DecodeNotes("k", seal(std::string(
                                    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x00\x00", 13)))
                   .ok());
  // An eleven-byte varint.
  EXPECT_FALSE(DecodeTerm("k", seal("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")).ok());
  // Trailing bytes.
  EXPECT_FALSE(DecodeTerm("k", seal("\x01\x01")).ok());
  std::vector<float> v(1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(DecodeVector("k", EncodeVector("k", {&nan, 1}), absl::MakeSpan(v)).ok());
  EXPECT_FALSE(DecodeVector("k", seal("1234567"), absl::MakeSpan(v)).ok());
}

// docs/formats/store.md, "Worked example".
TEST(Rows, TheDocumentedExampleIsTrue) {
  const std::string key = TermKey(1, "aspirin");
  EXPECT_EQ(key, std::string("\x00\x00\x00\x01"
                             "aspirin",
                             11));
  EXPECT_EQ(EncodeTerm(key, 2), std::string("\x01\x02\xea\x42\x45\xad", 6));
}

TEST(Rows, KeysOrderAsTheirIds) {
  EXPECT_LT(ChunkKey(1, 255), ChunkKey(1, 256));
  EXPECT_LT(ChunkKey(1, ~ChunkId{0}), ChunkKey(2, 0));
  EXPECT_LT(DocumentKey(1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), CollectionEnd(1));
  EXPECT_LE(CollectionEnd(1), DocumentKey(2, ""));
  CollectionRow last;
  last.id = 0xffffffff;
  EXPECT_FALSE(DecodeCollection("k", Encode("k", last)).ok());
  EXPECT_EQ(*ChunkIdOfKey(ChunkKey(9, 0x0102030405060708)), 0x0102030405060708u);
  EXPECT_FALSE(ChunkIdOfKey("short").ok());
  EXPECT_EQ(*CollectionOfNotesKey(NotesKey(0x01020304)), 0x01020304u);
  EXPECT_FALSE(CollectionOfNotesKey("notes/abc").ok());
  EXPECT_FALSE(CollectionOfNotesKey("notes/abcde").ok());
  EXPECT_FALSE(CollectionOfNotesKey("notez/abcd").ok());
}

}  // namespace
}  // namespace cairn::index
