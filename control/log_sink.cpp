// SPDX-License-Identifier: Apache-2.0
#include "control/log_sink.hpp"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace weft::control {

namespace {

// %* in a pattern: the message, escaped.
class EscapedMessage final : public spdlog::custom_flag_formatter {
  public:
    explicit EscapedMessage(config::LogFormat format) : format_(format) {}
    void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
        const auto text = escape_log_text({message.payload.data(), message.payload.size()}, format_);
        out.append(text.data(), text.data() + text.size());
    }
    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return spdlog::details::make_unique<EscapedMessage>(format_);
    }

  private:
    config::LogFormat format_;
};

}  // namespace

std::string escape_log_text(std::string_view message, config::LogFormat format) {
    std::string text;
    for (const char c : message) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_quoted = format == config::LogFormat::Json && (c == '"' || c == '\\');
        const bool is_control = byte < 0x20 || byte == 0x7f;
        if (is_control && format == config::LogFormat::Json)
            text += fmt::format("\\u{:04x}", byte);
        else if (is_control)
            text += fmt::format("\\x{:02x}", byte);
        else if (is_quoted)
            text += {'\\', c};
        else
            text += c;
    }
    return text;
}

std::shared_ptr<spdlog::logger> make_stderr_logger(const config::Log& log) {
    auto logger = std::make_shared<spdlog::logger>("weftd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    const bool is_json = log.format == config::LogFormat::Json;
    const auto time = is_json ? spdlog::pattern_time_type::utc : spdlog::pattern_time_type::local;
    auto formatter = std::make_unique<spdlog::pattern_formatter>(time);
    formatter->add_flag<EscapedMessage>('*', log.format);
    formatter->set_pattern(is_json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","part":"%n","message":"%*"})"
                                   : "%b %d %H:%M:%S.%e %-5l %n: %*");
    logger->set_formatter(std::move(formatter));
    logger->flush_on(spdlog::level::warn);
    return logger;
}

}  // namespace weft::control
