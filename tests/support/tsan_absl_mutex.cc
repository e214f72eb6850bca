// Tells ThreadSanitizer what absl::Mutex and absl::Notification order. Debian's abseil is compiled
// without it, so without this every lock looks like none. Linked into test programs of the tsan
// preset only, with the linker's --wrap (tests/CMakeLists.txt).
//
// A lock acquires what earlier unlocks of the same mutex released, a wait what the notification
// released. Conditions of Await run inside abseil, in whichever thread holds the lock there; their
// reads are ignored.
namespace {

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);

void __real__ZN4absl7debian35Mutex4LockEv(void* mutex);
void __real__ZN4absl7debian35Mutex6UnlockEv(void* mutex);
bool __real__ZN4absl7debian35Mutex7TryLockEv(void* mutex);
void __real__ZN4absl7debian35Mutex10ReaderLockEv(void* mutex);
void __real__ZN4absl7debian35Mutex12ReaderUnlockEv(void* mutex);
void __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(void* mutex, const void* condition);

void __real__ZN4absl7debian312Notification6NotifyEv(void* notification);
void __real__ZNK4absl7debian312Notification19WaitForNotificationEv(const void* notification);

// absl::Duration, and absl::Time, which holds one, as they are passed.
struct Duration {
  long high;
  unsigned low;
};
bool __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    void* mutex, const void* condition, Duration timeout);
bool __real__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    void* mutex, const void* condition, Duration deadline);
}

class IgnoreReads {
 public:
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

// Readers release to a place of their own, which only writers acquire: two readers stay unordered,
// so that a write under a shared lock is still found.
void* ReadersOf(void* mutex) { return static_cast<char*>(mutex) + 1; }

template <typename Wait>
auto Awaiting(void* mutex, Wait wait) {
  __tsan_release(mutex);
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  const bool fulfilled = wait();
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  __tsan_acquire(mutex);
  __tsan_acquire(ReadersOf(mutex));
  return fulfilled;
}

}  // namespace

extern "C" {

void __wrap__ZN4absl7debian35Mutex4LockEv(void* mutex) {
  {
    IgnoreReads ignore;
    __real__ZN4absl7debian35Mutex4LockEv(mutex);
  }
  __tsan_acquire(mutex);
  __tsan_acquire(ReadersOf(mutex));
}

void __wrap__ZN4absl7debian35Mutex6UnlockEv(void* mutex) {
  __tsan_release(mutex);
  IgnoreReads ignore;
  __real__ZN4absl7debian35Mutex6UnlockEv(mutex);
}

bool __wrap__ZN4absl7debian35Mutex7TryLockEv(void* mutex) {
  bool locked = false;
  {
    IgnoreReads ignore;
    locked = __real__ZN4absl7debian35Mutex7TryLockEv(mutex);
  }
  if (!locked) return false;
  __tsan_acquire(mutex);
  __tsan_acquire(ReadersOf(mutex));
  return true;
}

void __wrap__ZN4absl7debian35Mutex10ReaderLockEv(void* mutex) {
  {
    IgnoreReads ignore;
    __real__ZN4absl7debian35Mutex10ReaderLockEv(mutex);
  }
  __tsan_acquire(mutex);
}

void __wrap__ZN4absl7debian35Mutex12ReaderUnlockEv(void* mutex) {
  __tsan_release(ReadersOf(mutex));
  IgnoreReads ignore;
  __real__ZN4absl7debian35Mutex12ReaderUnlockEv(mutex);
}

void __wrap__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(void* mutex, const void* condition) {
  Awaiting(mutex, [&] {
    __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(mutex, condition);
    return true;
  });
}

bool __wrap__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    void* mutex, const void* condition, Duration timeout) {
  return Awaiting(mutex, [&] {
    return __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
        mutex, condition, timeout);
  });
}

void __wrap__ZN4absl7debian312Notification6NotifyEv(void* notification) {
  __tsan_release(notification);
  __real__ZN4absl7debian312Notification6NotifyEv(notification);
}

void __wrap__ZNK4absl7debian312Notification19WaitForNotificationEv(const void* notification) {
  __real__ZNK4absl7debian312Notification19WaitForNotificationEv(notification);
  __tsan_acquire(const_cast<void*>(notification));
}

bool __wrap__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    void* mutex, const void* condition, Duration deadline) {
  return Awaiting(mutex, [&] {
    return __real__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE(
        mutex, condition, deadline);
  });
}

}  // extern "C"
