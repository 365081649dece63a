// SPDX-License-Identifier: Apache-2.0
#include "overlay/flow_table.hpp"

#include <algorithm>
#include <atomic>

#include "dataplane/base/check.hpp"
#include "overlay/flow_family.hpp"
#include "overlay/flow_file.hpp"

namespace weft::overlay {

namespace {

// A handle is an entry's number and, in the highest bit, its family.
constexpr FlowHandle kIpv6 = 0x80000000;

bool is_one_family(const Flow& flow) noexcept {
    const int version = flow.key.source.version();
    return flow.key.destination.version() == version && flow.rewrite.source.version() == version &&
           flow.rewrite.destination.version() == version;
}

}  // namespace

struct FlowTable::Impl {
    FlowFile file;
    FlowFamily<EntryAddress4> v4;
    FlowFamily<EntryAddress6> v6;
    AttachReport report;
    std::function<void(const Flow&)> gone;
    std::atomic<std::uint64_t> inserts{0};

    Impl(FlowFile opened, FlowIndex index_v4, FlowIndex index_v6)
        : file(std::move(opened)),
          v4(file.memory.at<FlowEntry4>(file.layout.entries_v4), file.memory.at<std::uint32_t>(file.layout.born_v4),
             file.layout.capacity_v4, file.secret, std::move(index_v4)),
          v6(file.memory.at<FlowEntry6>(file.layout.entries_v6), file.memory.at<std::uint32_t>(file.layout.born_v6),
             file.layout.capacity_v6, file.secret, std::move(index_v6)) {}

    // Calls act(family, entry number) with the family the handle is of.
    template <class Act>
    decltype(auto) with(FlowHandle handle, Act&& act) {
        return (handle & kIpv6) != 0 ? act(v6, handle & ~kIpv6) : act(v4, handle);
    }
};

FlowTable::FlowTable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FlowTable::~FlowTable() = default;

Result<std::unique_ptr<FlowTable>> FlowTable::open(const Options& options, TimePoint now) {
    if (options.capacity == 0 || options.capacity > kMaxCapacity)
        return std::unexpected(Error(ErrorCode::BadInput, "a flow table has room for 1 to " +
                                                              std::to_string(kMaxCapacity) + " connections, not " +
                                                              std::to_string(options.capacity)));
    if (options.node_id.size() > sizeof(FlowFileHeader::node_id) ||
        options.boot_id.size() > sizeof(FlowFileHeader::boot_id))
        return std::unexpected(Error(ErrorCode::BadInput, "the flow file has no room for such a long node or boot id"));

    auto file = FlowFile::open(options);
    if (!file) return std::unexpected(file.error().during("open flow table"));
    auto index_v4 = FlowIndex::create(file->layout.capacity_v4 * 2);
    if (!index_v4) return std::unexpected(index_v4.error().during("open flow table"));
    auto index_v6 = FlowIndex::create(file->layout.capacity_v6 * 2);
    if (!index_v6) return std::unexpected(index_v6.error().during("open flow table"));

    auto impl = std::make_unique<Impl>(std::move(*file), std::move(*index_v4), std::move(*index_v6));
    impl->report.set_aside = impl->file.set_aside;
    if (impl->file.taken_over) {
        const auto v4 = impl->v4.attach(to_ticks(now));
        const auto v6 = impl->v6.attach(to_ticks(now));
        impl->report.kept = v4.kept + v6.kept;
        impl->report.torn = v4.torn + v6.torn;
    }
    return std::unique_ptr<FlowTable>(new FlowTable(std::move(impl)));
}

const FlowTable::AttachReport& FlowTable::attach_report() const noexcept {
    return impl_->report;
}

void FlowTable::revalidate(const Keep& keep) {
    impl_->v4.revalidate(keep);
    impl_->v6.revalidate(keep);
}

FlowHandle FlowTable::find(const FlowKey& key) const noexcept {
    if (key.source.version() != key.destination.version()) return kNoFlow;
    if (key.source.is_v4()) return impl_->v4.find(key);
    const std::uint32_t entry = impl_->v6.find(key);
    return entry == FlowIndex::kNone ? kNoFlow : entry | kIpv6;
}

Flow FlowTable::get(FlowHandle handle) const noexcept {
    return impl_->with(handle, [](auto& family, std::uint32_t entry) { return family.get(entry); });
}

FlowHandle FlowTable::partner(FlowHandle handle) const noexcept {
    return handle ^ 1U;
}

FlowHandle FlowTable::by_id(std::uint64_t id) const noexcept {
    const auto handle = static_cast<FlowHandle>(id);
    const bool lives = impl_->with(handle, [id](auto& family, std::uint32_t entry) {
        return (entry & 1) == 0 && family.in_use(entry) &&
               family.mark(family.get(entry).key, family.born(entry / 2)) == id >> 32;
    });
    return lives ? handle : kNoFlow;
}

std::expected<FlowHandle, InsertError> FlowTable::insert(const Flow& opener, const Flow& answer,
                                                         TimePoint now) noexcept {
    WEFT_CHECK(
        is_one_family(opener) && is_one_family(answer) && opener.key.source.version() == answer.key.source.version(),
        "both halves of a flow are of one address family");
    const bool is_v6 = opener.key.source.is_v6();
    auto inserted = is_v6 ? impl_->v6.insert(opener, answer, to_ticks(now), impl_->gone)
                          : impl_->v4.insert(opener, answer, to_ticks(now), impl_->gone);
    if (!inserted) return inserted;
    impl_->inserts.store(inserts() + 1, std::memory_order_relaxed);
    return is_v6 ? *inserted | kIpv6 : *inserted;
}

void FlowTable::erase(FlowHandle handle) noexcept {
    impl_->with(handle, [this](auto& family, std::uint32_t entry) { family.erase(entry, impl_->gone); });
}

void FlowTable::touch(FlowHandle handle, std::uint32_t packets, std::uint64_t bytes, std::uint8_t tcp_flags,
                      TimePoint now) noexcept {
    impl_->with(handle, [&](auto& family, std::uint32_t entry) {
        family.touch(entry, packets, bytes, tcp_flags, to_ticks(now));
    });
}

// The budget goes to both families by what they hold.
std::size_t FlowTable::sweep(TimePoint now, std::size_t budget) noexcept {
    const std::size_t v4 = impl_->v4.high_water(), v6 = impl_->v6.high_water();
    if (v4 + v6 == 0) return 0;
    const std::size_t share = std::min(budget, (budget * v6 + v4 + v6 - 1) / (v4 + v6));
    return impl_->v6.sweep(to_ticks(now), share, impl_->gone) +
           impl_->v4.sweep(to_ticks(now), budget - share, impl_->gone);
}

void FlowTable::on_removed(std::function<void(const Flow&)> gone) {
    impl_->gone = std::move(gone);
}

std::size_t FlowTable::size() const noexcept {
    return std::size_t{impl_->v4.size()} + impl_->v6.size();
}
std::size_t FlowTable::capacity() const noexcept {
    return impl_->file.layout.capacity_v4;
}
std::uint64_t FlowTable::inserts() const noexcept {
    return impl_->inserts.load(std::memory_order_relaxed);
}

std::vector<FlowView> FlowTable::snapshot(TimePoint now, std::size_t limit,
                                          const std::function<bool(const Flow&)>& wanted) const {
    std::vector<FlowView> views;
    const auto collect = [&](const auto& family, FlowHandle family_bit) {
        const std::uint32_t end = family.high_water();
        for (std::uint32_t pair = 0; pair < end && views.size() < limit; ++pair) {
            auto view = family.view(pair, to_ticks(now));
            if (!view || (wanted && !wanted(view->opener))) continue;
            view->id |= 2 * pair | family_bit;
            views.push_back(std::move(*view));
        }
    };
    collect(impl_->v4, 0);
    collect(impl_->v6, kIpv6);
    return views;
}

}  // namespace weft::overlay
