// Checksums of whole table files, which RocksDB keeps in its manifest.
#ifndef CAIRN_INDEX_FILE_CHECKSUM_H_
#define CAIRN_INDEX_FILE_CHECKSUM_H_

#include <memory>

namespace rocksdb {
class FileChecksumGenFactory;
}  // namespace rocksdb

namespace cairn::index {

// XXH3-64, big-endian; for files that have one already, RocksDB's CRC-32C. That is several times
// slower without the processor's instruction for it, as in Debian's build: a fifth of the time that
// writing a table file takes.
std::shared_ptr<rocksdb::FileChecksumGenFactory> FileChecksums();

}  // namespace cairn::index

#endif  // CAIRN_INDEX_FILE_CHECKSUM_H_
