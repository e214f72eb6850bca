// Copies of whole stores: backups that cost little, and the way back.
#ifndef CAIRN_INDEX_STORE_SNAPSHOT_H_
#define CAIRN_INDEX_STORE_SNAPSHOT_H_

#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "index/row_store.h"
#include "index/work_control.h"

namespace cairn::index {

// Both functions make a complete store, of its own and openable like any other, at `destination`: a
// name in an existing directory that is not taken, or an empty directory. Table, segment and KV
// blob files, which never change, become hard links, or copies on another file system; all else is
// copied. The copy is made in `destination`.partial, synced and renamed: what stands at
// `destination` is complete. Symbolic links in a store are not followed. After a failure nothing is
// left; after a crash `destination`.partial may be, which the next attempt clears away.
//
// Errors: AlreadyExists (the destination holds something), InvalidArgument (one directory inside
// the other), NotFound (no such store; no directory to put the copy into), PermissionDenied,
// ResourceExhausted (disk full), FailedPrecondition (in use; read-only; something that is no file
// of a store), DataLoss, Unavailable.

struct SnapshotOptions {
  // Cancelled when it becomes true, and nothing is left; may be null.
  const std::atomic<bool>* cancel = nullptr;
  // Called on the caller's thread: "rows", then "segments" and "kv", in files.
  StageProgress on_progress;
};

// Copies a store as it is at one moment. Commits go on meanwhile; but the caller sees to it that no
// file of segments/ and kv/ is deleted.
absl::Status SnapshotStore(RowStore& rows, const std::string& destination,
                           const SnapshotOptions& options = {});

// Makes a store from a snapshot, which need not be writable and does not change; nobody may write
// to it meanwhile. The result is opened, read-only, before it counts.
absl::Status RestoreStore(const std::string& snapshot, const std::string& destination);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_STORE_SNAPSHOT_H_
