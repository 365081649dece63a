// SPDX-License-Identifier: Apache-2.0
#include "config/secret_file.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "config/loader.hpp"

namespace weft::config {
namespace {

constexpr const char* kKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

class SecretFile : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "weft-secret-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string put(const std::string& content, mode_t mode = 0600) {
        const std::string file = folder_ + "/secret";
        std::ofstream(file) << content;
        EXPECT_EQ(chmod(file.c_str(), mode), 0);
        return file;
    }
    // The refusal's text, or "" if the key was taken.
    static std::string refusal(const std::string& file) {
        const auto key = read_psk(file);
        return key ? "" : key.error().text();
    }

    std::string folder_;
};

TEST_F(SecretFile, GivesTheKeysBytes) {
    const auto key = read_psk(put(std::string(kKey) + "\n"));
    ASSERT_TRUE(key) << key.error().text();
    for (std::size_t i = 0; i < 32; ++i)
        EXPECT_EQ((*key)[i], i);
}

TEST_F(SecretFile, IsRefusedUnlessItIsTheOwnersAlone) {
    for (const mode_t mode : {0640U, 0604U, 0644U, 0660U, 0666U, 0777U}) {
        EXPECT_NE(refusal(put(kKey, mode)).find("chmod 0600"), std::string::npos) << mode;
    }
    EXPECT_EQ(refusal(put(kKey, 0600)), "");
    EXPECT_EQ(refusal(put(kKey, 0400)), "");
}

TEST_F(SecretFile, IsRefusedInAFolderThatOthersMayEnter) {
    const std::string file = put(kKey);
    ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
    EXPECT_NE(refusal(file).find("chmod 0700"), std::string::npos) << refusal(file);
}

TEST_F(SecretFile, IsRefusedBehindASymbolicLink) {
    const std::string link = folder_ + "/link";
    std::filesystem::create_symlink(put(kKey), link);
    EXPECT_NE(refusal(link).find("symbolic link"), std::string::npos) << refusal(link);
}

TEST_F(SecretFile, IsRefusedIfItIsNoRegularFile) {
    const std::string fifo = folder_ + "/fifo";
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_NE(refusal(fifo).find("regular file"), std::string::npos);
    EXPECT_NE(refusal(folder_ + "/absent"), "");
    std::filesystem::create_directory(folder_ + "/dir");
    chmod((folder_ + "/dir").c_str(), 0700);
    EXPECT_NE(refusal(folder_ + "/dir"), "");
}

TEST_F(SecretFile, IsRefusedWithAnyOtherContentAndNeverShowsIt) {
    const std::string good = kKey;
    std::vector<std::string> contents = {"",
                                         "\n",
                                         "secret",
                                         good + good,
                                         good + " ",
                                         " " + good,
                                         good + "\n" + good,
                                         std::string(44, '!'),
                                         std::string(5000, 'A'),
                                         std::string(43, 'A') + "="};
    for (std::size_t length = 0; length < good.size(); ++length)
        contents.push_back(good.substr(0, length));
    std::string stray_bits = good;
    stray_bits[42] = '9';
    contents.push_back(stray_bits);
    for (const auto& content : contents) {
        const std::string why = refusal(put(content));
        EXPECT_NE(why, "") << content;
        EXPECT_EQ(why.find("AAEC"), std::string::npos) << why;
    }
}

TEST_F(SecretFile, TokensAreOneLineOfPrintableText) {
    EXPECT_EQ(read_token(put("0123456789abcdef\n")).value_or(""), "0123456789abcdef");
    for (const std::string content : {"", "short", "0123456789abcde f", "0123456789abcdef\n0123456789abcdef"}) {
        EXPECT_FALSE(read_token(put(content))) << content;
    }
    EXPECT_FALSE(read_token(put(std::string(257, 'a'))));
}

TEST_F(SecretFile, AtFaultIsToldWithKeyAndPlace) {
    const std::string secret = put("rubbish");
    const std::string file = folder_ + "/weftd.yaml";
    std::ofstream(file) << "node: {id: a}\ntunnel:\n  psk_file: " << secret << "\n";
    const auto loaded = load(file);
    ASSERT_FALSE(loaded);
    EXPECT_TRUE(loaded.error().text().starts_with(file + ":3:13: tunnel.psk_file: ")) << loaded.error().text();
    EXPECT_EQ(loaded.error().text().find("rubbish"), std::string::npos);
}

}  // namespace
}  // namespace weft::config
