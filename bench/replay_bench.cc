// How fast encoders are replayed, against the originals and on the same bytes: processor time of
// one core, and the time of several threads that make the parts of one stream.
//   replay_bench FILE [TIMES]
// TIMES are the lines of `go run . time FILE` in tests/data/deflate/regen ("go126 6 0.41"); zlib is
// measured here. Ratios above 1: we are faster.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "codec/encoder_match.h"
#include "unpack/part_player.h"

namespace {

using namespace bundle;

constexpr int kRounds = 3;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

class CountingSink final : public Sink {
 public:
  void write(ByteView bytes) override { size_ += bytes.size(); }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

template <typename Work>
double best_of(const Work& work) {
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double start = cpu_seconds();
    work();
    const double seconds = cpu_seconds() - start;
    best = round == 0 ? seconds : std::min(best, seconds);
  }
  return best;
}

void encode(const codec::EncoderSpec& spec, ByteView plain, Sink& out) {
  const auto encoder = codec::make_encoder(spec, out);
  encoder->write(plain);
  encoder->finish();
}

double zlib_seconds(ByteView plain, int level) {
  return best_of([&] {
    z_stream stream{};
    deflateInit2(&stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    std::array<Bytef, 65536> buffer;
    stream.next_in = const_cast<Bytef*>(plain.data());
    stream.avail_in = static_cast<uInt>(plain.size());
    do {
      stream.next_out = buffer.data();
      stream.avail_out = static_cast<uInt>(buffer.size());
      deflate(&stream, Z_FINISH);
    } while (stream.avail_out == 0);
    deflateEnd(&stream);
  });
}

// The parts as an import makes them.
double parts_seconds(const codec::EncoderSpec& spec, const Bytes& plain, std::size_t threads) {
  MemorySink stream(plain.size() * 2 + 1024);
  encode(spec, plain, stream);
  codec::EncoderMatch match({{spec}});
  match.deflate(stream.bytes());
  for (std::size_t done = 0; done < plain.size(); done += 1 << 20)
    match.plain(ByteView(plain).subspan(done, std::min<std::size_t>(1 << 20, plain.size() - done)));
  if (!match.finish()) return 0;
  const std::vector<codec::StreamPart> parts = match.take_parts();
  if (parts.empty()) return 0;
  unpack::PartWorkers workers(threads);
  const auto begun = std::chrono::steady_clock::now();
  std::vector<std::future<Bytes>> made;
  std::uint64_t start = 0;
  std::uint64_t bit = 0;
  for (const codec::StreamPart& part : parts) {
    const std::uint64_t from =
        start == 0 ? 0 : codec::learning_start(codec::restart_rule(spec), {}, start);
    const std::uint64_t end =
        std::min<std::uint64_t>(plain.size(), start + part.plain + codec::kPartTail);
    codec::PartInput input{spec, {}, start - from, {}, static_cast<unsigned>(bit % 8), part.bits};
    input.plain.assign(plain.begin() + static_cast<std::ptrdiff_t>(from),
                       plain.begin() + static_cast<std::ptrdiff_t>(end));
    made.push_back(workers.encode(std::move(input)));
    start += part.plain;
    bit += part.bits;
  }
  for (auto& bytes : made) bytes.get();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

void report(const std::string& name, int level, const codec::EncoderSpec& spec, const Bytes& plain,
            double original) {
  const std::size_t threads = std::max(2U, std::thread::hardware_concurrency());
  const double ours = best_of([&] {
    CountingSink out;
    encode(spec, plain, out);
  });
  const double parts = parts_seconds(spec, plain, threads);
  fmt::print("{} level {}: {:.1f} MB/s a core", name, level,
             static_cast<double>(plain.size()) / 1e6 / ours);
  if (original > 0) fmt::print(", original/ours {:.2f}", original / ours);
  if (parts > 0) fmt::print(", one core/{} threads {:.2f}", threads, ours / parts);
  if (parts > 0 && original > 0) fmt::print(", original/threads {:.2f}", original / parts);
  fmt::print("\n");
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print(stderr, "usage: replay_bench FILE [TIMES]\n");
    return 64;
  }
  std::ifstream file(arguments[1], std::ios::binary);
  const Bytes plain{std::istreambuf_iterator<char>(file), {}};
  std::map<std::string, double> originals;
  if (count > 2) {
    std::ifstream times(arguments[2]);
    std::string name;
    int level = 0;
    double seconds = 0;
    while (times >> name >> level >> seconds)
      originals[name.substr(0, 2) + std::to_string(level)] = seconds;
  }
  for (int level = 1; level <= 9; ++level) {
    report("Go", level, codec::go_spec(level), plain, originals["go" + std::to_string(level)]);
    report("klauspost", level, codec::klauspost_spec(level), plain,
           originals["kl" + std::to_string(level)]);
    report("zlib", level, codec::zlib_spec(level, 8, 0), plain, zlib_seconds(plain, level));
  }
}
