// SPDX-License-Identifier: Apache-2.0
#include "overlay/flow_expiry.hpp"

#include "dataplane/net/parse.hpp"
#include "dataplane/net/tcp.hpp"

namespace weft::overlay {

namespace {

using std::chrono::seconds;

struct Timeout {
    seconds normal, crowded;
    [[nodiscard]] seconds under(Pressure pressure) const { return pressure == Pressure::Normal ? normal : crowded; }
};

constexpr Timeout kTcpHalfOpen{seconds(60), seconds(10)};
constexpr Timeout kTcpEstablished{seconds(7440), seconds(7440)};  // 2 h 4 min, never shortened
constexpr Timeout kTcpClosing{seconds(240), seconds(10)};
constexpr Timeout kUdpUnanswered{seconds(120), seconds(20)};
constexpr Timeout kUdpAnswered{seconds(300), seconds(60)};
constexpr Timeout kIcmp{seconds(60), seconds(10)};

}  // namespace

seconds flow_timeout(std::uint8_t protocol, FlowState state, Pressure pressure) noexcept {
    if (protocol == net::kProtocolTcp) {
        if (state == FlowState::Established) return kTcpEstablished.under(pressure);
        return (state >= FlowState::Closing ? kTcpClosing : kTcpHalfOpen).under(pressure);
    }
    if (protocol == net::kProtocolIcmp || protocol == net::kProtocolIcmp6) return kIcmp.under(pressure);
    return (state == FlowState::Established ? kUdpAnswered : kUdpUnanswered).under(pressure);
}

FlowState first_state(std::uint8_t protocol, FlowState asked) noexcept {
    if (asked == FlowState::Established) return asked;
    return protocol == net::kProtocolTcp ? FlowState::HalfOpen : FlowState::New;
}

FlowState next_state(FlowState state, const PacketEvent& event) noexcept {
    const bool answered = event.from == Role::Answer;
    if (event.protocol != net::kProtocolTcp) return answered ? FlowState::Established : state;
    if ((event.tcp_flags & net::kTcpRst) != 0) return FlowState::Closed;
    if ((event.tcp_flags & net::kTcpFin) != 0)
        return event.fin_from_other || state == FlowState::Closed ? FlowState::Closed : FlowState::Closing;
    if (state == FlowState::HalfOpen && answered) return FlowState::Established;
    return state;
}

}  // namespace weft::overlay
