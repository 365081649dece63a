// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target as an ordinary test:
//
//   fuzz-NAME [--mutations N] FILE-OR-FOLDER...
//
// First every file as it is (seeds, and whatever once broke the target), then N mutations of the seeds. The mutations
// are the same in every run; a target that aborts has its input printed first as hex, ready to become a regression
// file.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include <unistd.h>

#include "tests/fuzz/input.hpp"

namespace {

using Seed = std::vector<std::uint8_t>;

// What runs now; the handler of a crash prints it.
const Seed* current = nullptr;

// No allocation: the heap may be what broke.
void print_current(int signal_number) {
    static constexpr char kDigits[] = "0123456789abcdef";
    static constexpr char kTitle[] = "input that broke it: ";
    if (current != nullptr) {
        (void)!::write(STDERR_FILENO, kTitle, sizeof kTitle - 1);
        for (const std::uint8_t byte : *current) {
            const char digits[] = {kDigits[byte >> 4], kDigits[byte & 15]};
            (void)!::write(STDERR_FILENO, digits, sizeof digits);
        }
        (void)!::write(STDERR_FILENO, "\n", 1);
    }
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
}

void run(const Seed& seed) {
    current = &seed;
    LLVMFuzzerTestOneInput(seed.data(), seed.size());
    current = nullptr;
}

std::vector<Seed> read_all(const std::filesystem::path& path) {
    std::vector<std::filesystem::path> files;
    if (std::filesystem::is_directory(path)) {
        for (const auto& entry : std::filesystem::directory_iterator(path))
            files.push_back(entry.path());
        std::sort(files.begin(), files.end());
    } else if (std::filesystem::exists(path)) {
        files.push_back(path);
    }
    std::vector<Seed> seeds;
    for (const auto& file : files) {
        std::ifstream stream(file, std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    }
    return seeds;
}

class Mutator {
  public:
    Seed mutate(Seed seed, const std::vector<Seed>& others) {
        for (std::size_t changes = 1 + pick(4); changes != 0; --changes)
            change(seed, others);
        return seed;
    }
    std::size_t pick(std::size_t below) { return below == 0 ? 0 : random_() % below; }

  private:
    void change(Seed& seed, const std::vector<Seed>& others) {
        static constexpr std::uint8_t kEdges[] = {0, 1, 0x7F, 0x80, 0xFF, 0x40, 0x60, 0x45};
        const std::size_t at = pick(seed.size());
        switch (pick(seed.empty() ? 2 : 7)) {
            case 0:
                seed.insert(seed.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::uint8_t>(pick(256)));
                break;
            case 1: {  // the end of another seed
                const Seed& other = others[pick(others.size())];
                seed.insert(seed.end(), other.begin() + static_cast<std::ptrdiff_t>(pick(other.size())), other.end());
                if (seed.size() > 8192) seed.resize(8192);
                break;
            }
            case 2:
                seed[at] = static_cast<std::uint8_t>(seed[at] ^ 1U << pick(8));
                break;
            case 3:
                seed[at] = static_cast<std::uint8_t>(pick(256));
                break;
            case 4:
                seed[at] = kEdges[pick(std::size(kEdges))];
                break;
            case 5:
                seed.resize(at);
                break;
            default:
                seed.erase(seed.begin() + static_cast<std::ptrdiff_t>(at));
                break;
        }
    }
    std::mt19937 random_{20230612};
};

}  // namespace

int main(int argc, char** argv) {
    std::size_t mutations = 3000;
    std::vector<Seed> seeds;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--mutations") == 0 && i + 1 < argc) {
            mutations = std::strtoul(argv[++i], nullptr, 10);
            continue;
        }
        for (Seed& seed : read_all(argv[i]))
            seeds.push_back(std::move(seed));
    }
    if (seeds.empty()) {
        std::fprintf(stderr, "no seeds: a target without a corpus shows nothing\n");
        return 1;
    }
    for (const int signal_number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL})
        std::signal(signal_number, print_current);
    for (const Seed& seed : seeds)
        run(seed);
    run({});
    Mutator mutator;
    for (std::size_t i = 0; i < mutations; ++i)
        run(mutator.mutate(seeds[mutator.pick(seeds.size())], seeds));
    std::printf("%zu seeds, %zu mutations\n", seeds.size(), mutations);
    return 0;
}
