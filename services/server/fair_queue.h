// A queue whose tenants take turns.
#ifndef CAIRN_SERVICES_SERVER_FAIR_QUEUE_H_
#define CAIRN_SERVICES_SERVER_FAIR_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::services {

// First in, first out within a tenant; tenants that have something waiting take turns, whatever
// each has put in. Holds nothing of a tenant without anything waiting. Not thread-safe.
template <typename T>
class FairQueue {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t size(std::string_view tenant) const {
    const auto found = waiting_.find(tenant);
    return found == waiting_.end() ? 0 : found->second.size();
  }

  void Push(std::string_view tenant, T item) {
    auto found = waiting_.find(tenant);
    if (found == waiting_.end()) {
      found = waiting_.emplace(tenant, std::deque<T>()).first;
      turns_.push_back(found->first);
    }
    found->second.push_back(std::move(item));
    ++size_;
  }

  // The queue must not be empty.
  T Pop() {
    const auto found = waiting_.find(turns_.front());
    T item = std::move(found->second.front());
    found->second.pop_front();
    --size_;
    if (found->second.empty()) {
      waiting_.erase(found);
    } else {
      turns_.push_back(std::move(turns_.front()));
    }
    turns_.pop_front();
    return item;
  }

  // Takes out the tenant's first item equal to `item`; false where there is none.
  bool Remove(std::string_view tenant, const T& item) {
    const auto found = waiting_.find(tenant);
    if (found == waiting_.end()) return false;
    const auto at = std::find(found->second.begin(), found->second.end(), item);
    if (at == found->second.end()) return false;
    found->second.erase(at);
    --size_;
    if (found->second.empty()) {
      turns_.erase(std::find(turns_.begin(), turns_.end(), tenant));
      waiting_.erase(found);
    }
    return true;
  }

 private:
  std::map<std::string, std::deque<T>, std::less<>> waiting_;  // No queue is empty.
  std::deque<std::string> turns_;                              // The tenants of waiting_.
  size_t size_ = 0;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_FAIR_QUEUE_H_
