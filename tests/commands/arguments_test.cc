// SPDX-License-Identifier: Apache-2.0
#include "commands/arguments.h"

#include <gtest/gtest.h>

namespace heapledger {
namespace {

const std::vector<OptionSpec> kOptions = {
    {"--sort", "size|count", "", {"size", "count"}},
    {"--older", "MS", ""},
    {"--min-size", "B", ""},
    {"--hook", "NAME=ADDR", "", {}, true},
    {"--addresses", "", ""},
};
const PositionalSpec kNumber{"N", false, "a number from 1 up"};

Result<Arguments> parse(std::vector<std::string> words,
                        std::optional<PositionalSpec> place = kNumber) {
  return Arguments::parse(kOptions, place, words);
}
std::string error(std::vector<std::string> words, std::optional<PositionalSpec> place = kNumber) {
  auto parsed = parse(std::move(words), std::move(place));
  return parsed ? "none" : parsed.error().message;
}

TEST(Arguments, TakesOptionsAndPositionalInAnyOrder) {
  const auto a = parse({"--sort", "count", "5", "--addresses", "--min-size=4k"});
  ASSERT_TRUE(a);
  EXPECT_EQ(a->value("--sort"), "count");
  EXPECT_EQ(a->positional(), "5");
  EXPECT_TRUE(a->has("--addresses"));
  EXPECT_FALSE(a->has("--older"));
  EXPECT_EQ(a->bytes("--min-size").value(), 4096u);
  EXPECT_EQ(a->number("--older").value(), std::nullopt);
}

TEST(Arguments, KeepsRepeatedOptionsAndTheLastOfOthers) {
  const auto a = parse({"--hook", "a=1", "--older", "1", "--hook", "b=2", "--older", "2"});
  ASSERT_TRUE(a);
  EXPECT_EQ(a->all("--hook"), (std::vector<std::string>{"a=1", "b=2"}));
  EXPECT_EQ(a->number("--older").value(), 2u);
}

TEST(Arguments, AnExpressionTakesTheRest) {
  const auto a = parse({"*(void**)(p", "+", "8)"}, PositionalSpec{"X", true, "x", {}, true});
  ASSERT_TRUE(a);
  EXPECT_EQ(a->positional(), "*(void**)(p + 8)");
}

TEST(Arguments, MistakesAreOneLineThatNamesTheArgument) {
  EXPECT_EQ(error({"--sort", "name"}), "--sort must be size, count, not 'name'");
  EXPECT_EQ(error({"--sort"}), "--sort needs a value: size, count");
  EXPECT_EQ(error({"--older", "--addresses"}), "--older needs a value: MS");
  EXPECT_EQ(error({"--bogus"}),
            "unknown option --bogus: expected one of --sort, --older, --min-size, --hook, "
            "--addresses");
  EXPECT_EQ(error({"-x"}),
            "unknown option -x: expected one of --sort, --older, --min-size, --hook, --addresses");
  EXPECT_EQ(error({"5", "6"}), "unexpected argument '6'");
  EXPECT_EQ(error({"5"}, std::nullopt), "unexpected argument '5'");
  EXPECT_EQ(error({"-5"}), "N must be a number from 1 up, not '-5'");
  EXPECT_EQ(error({"--addresses=maybe"}), "--addresses takes no value");
  EXPECT_EQ(error({}, PositionalSpec{"ADDR", true, "an address"}),
            "ADDR is missing: expected an address");
  EXPECT_EQ(error({"maybe"}, PositionalSpec{"on|off", false, "on or off", {"on", "off"}}),
            "on|off must be on, off, not 'maybe'");
}

TEST(Arguments, NumbersThatAreNone) {
  EXPECT_EQ(parse({"--older", "soon"})->number("--older").error().message,
            "--older must be a number, not 'soon'");
  EXPECT_EQ(parse({"--min-size", "4q"})->bytes("--min-size").error().message,
            "--min-size must be a number of bytes such as 4096, 4k or 2M, not '4q'");
  EXPECT_EQ(parse({"--older", "-5"})->number("--older").error().message,
            "--older must be a number, not '-5'");
}

TEST(ParseBytes, UnderstandsSuffixesAndRefusesTheRest) {
  EXPECT_EQ(parse_bytes("4096"), 4096u);
  EXPECT_EQ(parse_bytes("4k"), 4096u);
  EXPECT_EQ(parse_bytes("2M"), 2097152u);
  EXPECT_EQ(parse_bytes("1G"), 1073741824u);
  EXPECT_EQ(parse_bytes(""), std::nullopt);
  EXPECT_EQ(parse_bytes("k"), std::nullopt);
  EXPECT_EQ(parse_bytes("4 k"), std::nullopt);
  EXPECT_EQ(parse_bytes("-4"), std::nullopt);
  EXPECT_EQ(parse_bytes("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_bytes("99999999999T"), std::nullopt);
}

TEST(ParseAddress, HexadecimalWithOrWithoutPrefix) {
  EXPECT_EQ(parse_address("0x7f8f70863220")->value, 0x7f8f70863220u);
  EXPECT_EQ(parse_address("7f8f70863220")->value, 0x7f8f70863220u);
  EXPECT_EQ(parse_address("7f8f70863220")->decimal, std::nullopt);
  EXPECT_EQ(parse_address("4096")->value, 0x4096u);
  EXPECT_EQ(parse_address("4096")->decimal, 4096u);
  EXPECT_EQ(parse_address("zzz"), std::nullopt);
  EXPECT_EQ(parse_address(""), std::nullopt);
  EXPECT_EQ(parse_address("0x"), std::nullopt);
  EXPECT_EQ(parse_address("0x1ffffffffffffffff"), std::nullopt);
}

}  // namespace
}  // namespace heapledger
