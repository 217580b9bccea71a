// SPDX-License-Identifier: Apache-2.0
//
// A small server with the leaks people meet. Worker threads take requests from a queue and answer
// them; the clients are simulated. On the way it
//
//   loses a list     the audit trail of a finished session: the session is deleted, its first entry's
//                    pointer with it, the entries are not
//   loses a cycle    a timed-out upload and its progress watcher hold each other by shared_ptr
//   grows a cache    every rendered page is kept for ever in a map: still reachable, but growing
//
// and frees everything else. checkpoint() is called when all requests are answered and the workers
// wait for more; that is the place to stop and look.
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

extern "C" __attribute__((noinline)) void checkpoint() { asm volatile("" ::: "memory"); }

namespace {

struct Request {
  int client = 0;
  int number = 0;
  std::string path;
};

class RequestQueue {
 public:
  void push(Request request) {
    std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    changed_.notify_all();
  }
  // False when the queue was closed.
  bool pop(Request& request) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !requests_.empty(); });
    if (requests_.empty()) return false;
    request = std::move(requests_.front());
    requests_.pop_front();
    ++in_work_;
    return true;
  }
  void done() {
    std::lock_guard lock(mutex_);
    --in_work_;
    changed_.notify_all();
  }
  void wait_until_answered() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return requests_.empty() && in_work_ == 0; });
  }
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> requests_;
  int in_work_ = 0;
  bool closed_ = false;
};

// Every page ever rendered. Nothing is ever evicted.
class PageCache {
 public:
  std::string page(const std::string& path) {
    std::lock_guard lock(mutex_);
    auto found = pages_.find(path);
    if (found == pages_.end()) found = pages_.emplace(path, render(path)).first;
    return found->second;
  }

 private:
  static std::string render(const std::string& path) {
    return "<html><title>" + path + "</title>" + std::string(900, '.') + "</html>";
  }
  std::mutex mutex_;
  std::unordered_map<std::string, std::string> pages_;
};

// What a client did, newest first.
struct AuditEntry {
  int number;
  std::array<char, 88> text;
  AuditEntry* older;
};

class Session {
 public:
  explicit Session(int client) : client_(client) {}
  // The bug: no destructor deletes the trail.
  __attribute__((noinline)) void record(const Request& request) {
    auto* entry = new AuditEntry{request.number, {}, trail_};
    std::snprintf(entry->text.data(), entry->text.size(), "client %d: %s", client_,
                  request.path.c_str());
    trail_ = entry;
  }

 private:
  int client_;
  AuditEntry* trail_ = nullptr;
};

struct Watcher;
struct Upload {
  std::vector<char> received = std::vector<char>(2000);
  std::shared_ptr<Watcher> watcher;
};
struct Watcher {
  std::shared_ptr<Upload> upload;  // the bug: should be a weak_ptr
};

class Server {
 public:
  void start(int workers) {
    for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
  }
  void send(Request request) { queue_.push(std::move(request)); }
  void wait_until_answered() { queue_.wait_until_answered(); }
  void stop() {
    queue_.close();
    for (std::thread& worker : workers_) worker.join();
  }

 private:
  void work() {
    Request request;
    while (queue_.pop(request)) {
      answer(request);
      queue_.done();
    }
  }
  __attribute__((noinline)) void answer(const Request& request) {
    auto session = std::make_unique<Session>(request.client);
    for (int i = 0; i < 3; ++i) session->record(request);
    if (request.path.starts_with("/upload")) {
      accept_upload();
    } else {
      bytes_ += cache_.page(request.path).size();
    }
  }
  __attribute__((noinline)) void accept_upload() {
    auto upload = std::make_shared<Upload>();
    upload->watcher = std::make_shared<Watcher>();
    upload->watcher->upload = upload;
  }

  RequestQueue queue_;
  PageCache cache_;
  std::vector<std::thread> workers_;
  std::atomic<std::size_t> bytes_ = 0;
};

Server g_server;

}  // namespace

int main() {
  constexpr int kWorkers = 4, kClients = 20, kRequests = 10;
  g_server.start(kWorkers);
  for (int client = 0; client < kClients; ++client) {
    for (int number = 0; number < kRequests; ++number) {
      const bool upload = number == kRequests - 1;
      g_server.send({client, number,
                     (upload ? "/upload/" : "/page/") + std::to_string(client * kRequests + number)});
    }
  }
  g_server.wait_until_answered();
  std::printf("%d requests answered\n", kClients * kRequests);
  checkpoint();
  g_server.stop();
  return 0;
}
