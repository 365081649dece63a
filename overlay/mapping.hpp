// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>

#include <sys/mman.h>

#include "dataplane/base/error.hpp"

namespace weft::overlay {

// A piece of mapped memory; unmaps it. Move-only. Pages become resident when they are first touched.
class Mapping {
  public:
    Mapping() = default;
    Mapping(Mapping&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept {
        if (this != &other) {
            reset();
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() { reset(); }

    // Zeroed memory that dies with the process.
    static Result<Mapping> anonymous(std::size_t size) {
        return make(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    }
    // The first `size` bytes of a file, shared with it.
    static Result<Mapping> of_file(int fd, std::size_t size) { return make(size, MAP_SHARED, fd); }

    // Array of T at a byte offset; the caller knows the layout.
    template <class T>
    [[nodiscard]] T* at(std::size_t offset) const {
        return static_cast<T*>(static_cast<void*>(static_cast<std::byte*>(data_) + offset));
    }
    [[nodiscard]] void* data() const { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    static Result<Mapping> make(std::size_t size, int flags, int fd) {
        void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
        if (data == MAP_FAILED) return std::unexpected(Error::system("map " + std::to_string(size) + " bytes"));
        Mapping mapping;
        mapping.data_ = data;
        mapping.size_ = size;
        return mapping;
    }
    void reset() {
        if (data_) ::munmap(data_, size_);
        data_ = nullptr;
    }

    void* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace weft::overlay
