// A single-producer single-consumer queue in C++ and its measurement, to compare velo's ring with.
//
// The queue follows the published design of rigtorp's SPSCQueue (https://rigtorp.se/ringbuffer/): two atomic indices on cache lines
// of their own, each end's cached copy of the other's index, one slot that always stays free so that full and empty differ, and
// one release store per item. It is written anew from that description, not copied from the project.
//
//	spsc CASE CPU CPU SECONDS SLOTS
//
// CASE is one-way, same-thread or round-trip, as in the program ringpeers, which runs this one; a CPU of -1 is not pinned.
// One JSON object is printed. The exit status is 1 where items came out of order, or 2 where the arguments are wrong.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

namespace {

constexpr std::size_t kLine = 64;  // bytes of a cache line
constexpr int kTurn = 64;          // items in and out again on one thread
constexpr int kBurst = 1 << 16;    // items for one look at the clock
constexpr int kTrips = 64;         // round trips for one look at the clock

template <typename T>
class SpscQueue {
 public:
  explicit SpscQueue(std::size_t capacity)
      : slots_(capacity + 1), memory_(new T[slots_ + 2 * kPad]()), items_(memory_.get() + kPad) {}

  // Producer: puts an item in; false says full.
  bool try_push(const T& item) {
    const std::size_t at = write_.load(std::memory_order_relaxed);
    const std::size_t next = at + 1 == slots_ ? 0 : at + 1;
    if (next == seenRead_) {
      seenRead_ = read_.load(std::memory_order_acquire);
      if (next == seenRead_) return false;
    }
    items_[at] = item;
    write_.store(next, std::memory_order_release);
    return true;
  }

  // Consumer: the oldest item, or null where there is none.
  T* front() {
    const std::size_t at = read_.load(std::memory_order_relaxed);
    if (at == seenWrite_) {
      seenWrite_ = write_.load(std::memory_order_acquire);
      if (at == seenWrite_) return nullptr;
    }
    return items_ + at;
  }

  // Consumer: gives the slot of front back.
  void pop() {
    const std::size_t at = read_.load(std::memory_order_relaxed);
    read_.store(at + 1 == slots_ ? 0 : at + 1, std::memory_order_release);
  }

 private:
  static constexpr std::size_t kPad = (kLine + sizeof(T) - 1) / sizeof(T);  // keeps the ends off others' lines

  const std::size_t slots_;
  const std::unique_ptr<T[]> memory_;
  T* const items_;
  alignas(kLine) std::atomic<std::size_t> write_{0};  // stored by the producer
  alignas(kLine) std::size_t seenRead_{0};            // the producer's
  alignas(kLine) std::atomic<std::size_t> read_{0};   // stored by the consumer
  alignas(kLine) std::size_t seenWrite_{0};           // the consumer's
};

using Queue = SpscQueue<std::uint64_t>;
using Clock = std::chrono::steady_clock;

bool yields = false;  // both ends share a CPU

// relax is the wait between two looks at a full or empty queue, the same as in ringpeers.
inline void relax() {
  if (yields) {
    std::this_thread::yield();
    return;
  }
  for (int i = 0; i < 64; i++) asm volatile("");
}

// pin binds the calling thread to a CPU. ringpeers has tried before whether that works.
void pin(int cpu) {
#ifdef __linux__
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) std::fprintf(stderr, "cannot pin to cpu %d\n", cpu);
#else
  (void)cpu;
#endif
}

void produce(Queue& q, std::uint64_t first, int n) {
  for (std::uint64_t v = first; v != first + n; v++)
    while (!q.try_push(v)) relax();
}

// consume takes n numbers; the result is 0 where they were those from first on.
std::uint64_t consume(Queue& q, std::uint64_t first, int n) {
  std::uint64_t wrong = 0;
  for (std::uint64_t want = first; want != first + n; want++) {
    std::uint64_t* v;
    while ((v = q.front()) == nullptr) relax();
    wrong |= *v ^ want;
    q.pop();
  }
  return wrong;
}

double nanos(Clock::duration d) { return std::chrono::duration<double, std::nano>(d).count(); }

struct Outcome {
  double nanos;  // per item or round trip
  std::uint64_t wrong;
};

// one_way: see oneWay of ringpeers, also for how the two sides agree on the end.
Outcome one_way(int a, int b, double seconds, std::size_t slots) {
  auto q = std::make_unique<Queue>(slots);
  std::atomic<std::uint64_t> last{UINT64_MAX};
  std::atomic<bool> warm{false};
  Clock::time_point began, ended;
  std::uint64_t wrong = 0, bursts = 0;
  std::thread producer([&] {
    pin(a);
    produce(*q, 0, kBurst);
    while (!warm.load(std::memory_order_acquire)) relax();
    began = Clock::now();
    bool over = false;
    for (std::uint64_t i = 1; !over; i++) {
      over = nanos(Clock::now() - began) >= seconds * 1e9;
      if (over) last.store(i, std::memory_order_relaxed);
      produce(*q, i * kBurst, kBurst);
    }
  });
  std::thread consumer([&] {
    pin(b);
    wrong = consume(*q, 0, kBurst);
    warm.store(true, std::memory_order_release);
    for (std::uint64_t i = 1; bursts == 0; i++) {
      wrong |= consume(*q, i * kBurst, kBurst);
      if (last.load(std::memory_order_relaxed) == i) bursts = i;
    }
    ended = Clock::now();
  });
  producer.join();
  consumer.join();
  return {nanos(ended - began) / (double(bursts) * kBurst), wrong};
}

Outcome same_thread(int a, double seconds, std::size_t slots) {
  auto q = std::make_unique<Queue>(slots);
  pin(a);
  std::uint64_t items = 0, wrong = 0;
  const auto began = Clock::now();
  Clock::duration took{};
  while (nanos(took) < seconds * 1e9) {
    for (int i = 0; i < 256; i++, items += kTurn) {
      produce(*q, items, kTurn);
      wrong |= consume(*q, items, kTurn);
    }
    took = Clock::now() - began;
  }
  return {nanos(took) / double(items), wrong};
}

Outcome round_trip(int a, int b, double seconds, std::size_t slots) {
  auto there = std::make_unique<Queue>(slots), back = std::make_unique<Queue>(slots);
  std::atomic<std::uint64_t> last{UINT64_MAX};
  std::uint64_t wrongThere = 0, wrongBack = 0, trips = 0;
  Clock::duration took{};
  std::thread echo([&] {
    pin(b);
    bool over = false;
    for (std::uint64_t i = 0; !over; i++) {
      for (std::uint64_t k = i * kTrips; k < (i + 1) * kTrips; k++) {
        wrongThere |= consume(*there, k, 1);
        produce(*back, k, 1);
      }
      over = last.load(std::memory_order_relaxed) == i;
    }
  });
  std::thread caller([&] {
    pin(a);
    auto burst = [&](std::uint64_t i) {
      for (std::uint64_t k = i * kTrips; k < (i + 1) * kTrips; k++) {
        produce(*there, k, 1);
        wrongBack |= consume(*back, k, 1);
      }
    };
    burst(0);
    const auto began = Clock::now();
    bool over = false;
    for (std::uint64_t i = 1; !over; i++) {
      over = nanos(Clock::now() - began) >= seconds * 1e9;
      if (over) last.store(i, std::memory_order_relaxed);
      burst(i);
      trips += kTrips;
    }
    took = Clock::now() - began;
  });
  echo.join();
  caller.join();
  return {nanos(took) / double(trips), wrongThere | wrongBack};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc == 6 ? argv[1] : "";
  const int a = argc == 6 ? std::atoi(argv[2]) : -1, b = argc == 6 ? std::atoi(argv[3]) : -1;
  const double seconds = argc == 6 ? std::atof(argv[4]) : 0;
  const long slots = argc == 6 ? std::atol(argv[5]) : 0;
  yields = a >= 0 && a == b;
  Outcome o{};
  if (seconds <= 0 || slots < kTurn) {
    std::fprintf(stderr, "usage: spsc one-way|same-thread|round-trip CPU CPU SECONDS SLOTS\n");
    return 2;
  } else if (kind == "one-way") {
    o = one_way(a, b, seconds, slots);
  } else if (kind == "same-thread") {
    o = same_thread(a, seconds, slots);
  } else if (kind == "round-trip") {
    o = round_trip(a, b, seconds, slots);
  } else {
    std::fprintf(stderr, "spsc: no case \"%s\"\n", kind.c_str());
    return 2;
  }
  if (o.wrong != 0) {
    std::fprintf(stderr, "spsc: items came out of order (differing bits %#llx)\n", (unsigned long long)o.wrong);
    return 1;
  }
  const bool trip = kind == "round-trip";
  std::printf("{\"impl\":\"c++ spsc (rigtorp's design)\",\"case\":\"%s\",\"item_bytes\":8,\"value\":%.2f,\"unit\":\"%s\"}\n", kind.c_str(),
              trip ? o.nanos : 1e3 / o.nanos, trip ? "ns" : "M/s");
}
