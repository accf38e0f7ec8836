#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/caller.h"
#include "fuzz/input.h"
#include "primitives/renewal.h"
#include "support/wire.h"

namespace dsync::fuzz {
namespace {

using namespace std::chrono_literals;
using client::Channel;

constexpr std::array<base::Duration, 6> kPauses{0ms, 1ms, 100ms, 1s, 10s, 10min};
constexpr std::array<std::string_view, 10> kErrors{
    "NOSCRIPT No matching script.",
    "LOADING Redis is loading the dataset in memory",
    "NOAUTH Authentication required.",
    "NOPERM this user has no permissions",
    "OOM command not allowed",
    "WRONGTYPE Operation against a key",
    "ERR Error running script (call to f_1): @user_script:12: -READONLY You can't write",
    "ERR Error running script (call to f_1): @user_script:12: -",
    "ERR",
    ""};
constexpr std::array<std::string_view, 8> kChannels{"dsync:inbox:s",
                                                    "condition_a_channel",
                                                    "condition_{b}c_channel",
                                                    "distributed_barrier_channela",
                                                    "distributed_barrier_channel{b}c",
                                                    "event_a_channel",
                                                    "event_{b}c_channel",
                                                    ""};
constexpr std::array<std::string_view, 6> kWords{"1", "release", "reset", "abort", "0", ""};

const std::string kSubscribed =
    tests::array({tests::bulk("subscribe"), tests::bulk(kChannels[0]), tests::number(1)});

// A session, its renewal, and a world that does to them what the input says. Compilers take the
// arguments of a call in an order of their own, so none here reads two choices of the input.
class World {
 public:
  explicit World(Input input) : input_(input) {}

  void play() {
    while (!input_.empty()) step();
    make_peace();
  }

 private:
  void step();
  void log_in();
  void connect();
  void greet();
  void cut();
  void notice(bool server_spoke);
  void wait();
  void settle_deadline();
  void hear(Channel channel, const std::string& bytes);
  void step_renewal(const std::string& bytes);
  void make_peace();

  std::string reply();
  std::string renewed();
  std::string push();
  std::string any_id() { return std::to_string(caller_.any_id(input_)); }
  std::string inbox_message();
  std::string inbox_answers();

  Input input_;
  base::Time now_{1h};
  std::shared_ptr<primitives::LeaseTable> table_ = std::make_shared<primitives::LeaseTable>();
  std::shared_ptr<primitives::LossInbox> losses_ = std::make_shared<primitives::LossInbox>([] {});
  primitives::Session session_{{"s", 1, 5s, 15s}, table_, losses_};
  primitives::Renewal renewal_{table_};
  Caller caller_{session_, now_};
  bool linked_ = false;
  std::array<std::string, 2> greetings_;  // what an honest server says first, by channel
  std::size_t unanswered_ = 0;            // commands since the last connection
};

// ---- what the server says ----

// A well-formed reply with numbers of the input's choice.
std::string World::reply() {
  switch (input_.choice(7)) {
    case 0:
      return tests::number(input_.number());
    case 1:
      return tests::bulk(std::to_string(input_.number()));
    case 2: {
      std::string result = "*5\r\n";
      for (int i = 0; i < 5; ++i) result += tests::number(input_.number());
      return result;
    }
    case 3:
      return tests::failure(input_.pick(kErrors));
    case 4:
      return tests::nil();
    case 5: {
      const auto size = input_.choice(8);
      std::string result = '*' + std::to_string(size) + "\r\n";
      for (std::size_t i = 0; i < size; ++i) result += reply();
      return result;
    }
    default:
      return tests::bulk(input_.text());
  }
}

// What lock_renew answers: which are held.
std::string World::renewed() {
  const auto size = 1 + input_.choice(3);
  std::string result = '*' + std::to_string(size) + "\r\n";
  for (std::size_t i = 0; i < size; ++i) result += tests::number(input_.byte() % 2);
  return result;
}

std::string World::inbox_message() {
  const auto id = any_id();
  switch (input_.choice(4)) {
    case 0:
      return "s:" + id + " 1700000000000001 1700000000 5";
    case 1: {
      auto result = "s:" + id;
      for (int i = 0; i < 3; ++i) result += ' ' + std::to_string(input_.number());
      return result;
    }
    case 2: {
      const std::string outcome = input_.byte() % 2 == 0 ? "open " : "broken ";
      return "s " + outcome + id + ' ' + any_id();
    }
    default:
      return 's' + input_.text();
  }
}

std::string World::push() {
  switch (input_.choice(4)) {
    case 0:
      return tests::array(
          {tests::bulk("message"), tests::bulk(kChannels[0]), tests::bulk(inbox_message())});
    case 1:
      return tests::array({tests::bulk("message"), tests::bulk(input_.pick(kChannels)),
                           tests::bulk(input_.pick(kWords))});
    case 2:
      return tests::failure(input_.pick(kErrors));
    default:
      return tests::array({tests::bulk("pong"), tests::bulk("")});
  }
}

// What an honest server would say to what was subscribed since it was asked last.
std::string World::inbox_answers() {
  auto& output = session_.client().output(Channel::kInbox);
  std::string result;
  for (const auto& command : tests::commands_in(output)) {
    if (command.at(0) == "PING") {
      result += tests::array({tests::bulk("pong"), tests::bulk("")});
      continue;
    }
    const bool begins = command.at(0) == "SUBSCRIBE";
    for (std::size_t i = 1; i < command.size(); ++i) {
      result += tests::array({tests::bulk(begins ? "subscribe" : "unsubscribe"),
                              tests::bulk(command[i]), tests::number(1)});
    }
  }
  output.clear();
  return result;
}

// ---- links and time ----

void World::log_in() {
  const auto traits = input_.byte();
  client::Login login;
  if ((traits & 1) != 0) login.password = "password";
  if ((traits & 2) != 0) login.username = "user";
  if ((traits & 4) != 0) login.client_name = "name";
  if ((traits & 8) != 0) login.database = 1;
  session_.client().set_login(std::move(login));
}

void World::connect() {
  if (linked_) return;
  linked_ = true;
  unanswered_ = 0;
  for (const auto channel : {Channel::kCommands, Channel::kInbox}) {
    session_.client().connected(channel, now_);
    auto& output = session_.client().output(channel);
    const auto index = static_cast<std::size_t>(channel);
    greetings_[index].clear();
    for (const auto& command : tests::commands_in(output)) {
      const bool subscribes = command.at(0) == "SUBSCRIBE";
      greetings_[index] += subscribes ? kSubscribed : tests::simple("OK");
    }
    output.clear();
  }
}

void World::greet() {
  connect();
  hear(Channel::kInbox, greetings_[1]);
  hear(Channel::kCommands, greetings_[0]);
}

void World::cut() {
  session_.disconnected("gone", now_);
  notice(false);
}

// As a driver does after each call.
void World::notice(bool server_spoke) {
  unanswered_ += caller_.see_output();
  caller_.hear(server_spoke);
  if (session_.take_link_news().lost) linked_ = false;
}

void World::hear(Channel channel, const std::string& bytes) {
  // An exact copy, so that AddressSanitizer sees a read beyond its end.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  session_.received(channel, exact, now_);
  notice(true);
}

void World::wait() {
  now_ += input_.pick(kPauses);
  session_.tick(now_);
  notice(false);
}

// A driver that sleeps until the deadline and then ticks must get on.
void World::settle_deadline() {
  now_ = std::max(now_, std::min(session_.deadline(), base::after(now_, 1h)));
  for (int i = 0; i < 4 && session_.deadline() <= now_; ++i) session_.tick(now_);
  check(session_.deadline() > now_, "a deadline that has been served is over");
  notice(false);
}

void World::step_renewal(const std::string& bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  renewal_.client().received(Channel::kCommands, exact, now_);
  const auto need = renewal_.step(now_);
  renewal_.client().output(Channel::kCommands).clear();
  if (need.connect && !need.lost) renewal_.client().connected(Channel::kCommands, now_);
  check(renewal_.longest_pause() > 0s, "a renewal that cannot connect pauses");
  notice(false);
}

void World::step() {
  switch (input_.choice(16)) {
    case 0:
      return greet();
    case 1:
      return cut();
    case 2:
      return settle_deadline();
    case 3:
      return wait();
    case 4:
      return hear(Channel::kCommands, input_.text());
    case 5:
      return hear(Channel::kInbox, input_.text());
    case 6:
    case 7:
      return hear(Channel::kCommands, reply());
    case 8:
      return hear(Channel::kInbox, push());
    case 9:
      return hear(Channel::kInbox, inbox_answers());
    case 10:
      return step_renewal(input_.byte() % 2 == 0 ? reply() : renewed());
    case 11:
      return step_renewal(input_.text());
    case 12:
      log_in();
      return connect();
    case 13:
      if (input_.byte() % 4 != 0) return;
      session_.machine().give_up({base::ErrorKind::kConnection, "away"});
      return notice(false);
    default:
      caller_.call(input_);
      return notice(false);
  }
}

// Whatever has happened: once everybody has left and the server answers, nothing is left to do.
void World::make_peace() {
  caller_.leave();
  cut();
  greet();
  check(session_.machine().wants_link(false) || !session_.machine().wants_link(true),
        "what is awaited is wanted");
  check(session_.client().ready(), "a new connection is as good as the first");
  while (unanswered_ > 0) {
    std::string answers;
    for (auto left = std::exchange(unanswered_, 0U); left > 0; --left) answers += tests::number(0);
    hear(Channel::kCommands, answers);
  }
  check(!session_.machine().wants_link(false), "what was given back is forgotten");
}

}  // namespace

void fuzz_core(Bytes input) { World(Input(input)).play(); }

}  // namespace dsync::fuzz
