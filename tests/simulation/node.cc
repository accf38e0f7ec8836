#include "node.h"

#include <algorithm>
#include <utility>

#include "world.h"

namespace dsync::simulation {

using namespace std::chrono_literals;
using client::Channel;

namespace {

constexpr std::array<base::Duration, 3> kReplyTimeouts{1s, 5s, 5s};
constexpr std::array<std::int64_t, 4> kDrifts{0, 0, 1000, 50};
constexpr base::Duration kPingInterval = 15s;
constexpr int kRetries = 3;

}  // namespace

Node::Node(World& world, std::string name)
    : world_(world),
      name_(std::move(name)),
      offset_(world.random.between(base::Duration(1h), base::Duration(1000h))),
      drift_(world.random.pick(kDrifts)),
      losses_(std::make_shared<primitives::LossInbox>(
          [this] { world_.timeline.after(0s, [this] { run_session([this] { settle(); }); }); })),
      session_({name_, static_cast<std::uint32_t>(world.random.below(1U << 30)),
                world.random.pick(kReplyTimeouts), kPingInterval},
               table_, losses_) {
  table_->set_wake([this] {
    if (std::exchange(renewal_wanted_, true)) return;
    world_.timeline.after(0s, [this] {
      renewal_wanted_ = false;
      run_renewal([this] { step_renewal(); });
    });
  });
}

Node::~Node() { table_->set_wake(nullptr); }

base::Time Node::local(base::Duration later) const {
  const auto time = world_.timeline.now() + later;
  return base::Time(offset_ + time + (drift_ == 0 ? base::Duration(0) : time / drift_));
}

base::Duration Node::true_time(base::Time time) const {
  if (time == base::kNever) return base::Duration::max();
  const auto shown = time.time_since_epoch() - offset_;
  // Rounded up, so that the clock shows no less by then.
  return drift_ == 0 ? shown : shown - shown / (drift_ + 1) + 1us;
}

// ---- what may be held up ----

void Node::run_session(std::function<void()> action) {
  if (!alive_) return;
  if (world_.timeline.now() < std::max(stopped_until_, blocked_until_)) {
    session_backlog_.push_back(std::move(action));
  } else {
    action();
  }
}

void Node::run_renewal(std::function<void()> action) {
  if (!alive_) return;
  if (world_.timeline.now() < stopped_until_) {
    renewal_backlog_.push_back(std::move(action));
  } else {
    action();
  }
}

void Node::stop(base::Duration time) {
  world_.trace(name_, [&] { return "stops for " + show(time); });
  stopped_until_ = std::max(stopped_until_, world_.timeline.now() + time);
  world_.timeline.after(time, [this] { resume(); });
}

void Node::block(base::Duration time) {
  world_.trace(name_, [&] { return "blocks its loop for " + show(time); });
  blocked_until_ = std::max(blocked_until_, world_.timeline.now() + time);
  world_.timeline.after(time, [this] { resume(); });
}

void Node::resume() {
  // Threads go on in any order.
  const bool renewal_first = world_.random.one_in(2);
  for (const bool renewal : {renewal_first, !renewal_first}) {
    for (auto& action : std::exchange(renewal ? renewal_backlog_ : session_backlog_, {})) {
      renewal ? run_renewal(std::move(action)) : run_session(std::move(action));
    }
  }
}

void Node::crash() {
  world_.trace(name_, [] { return std::string("crashes"); });
  alive_ = false;
  for (const auto& task : tasks_) task->crashed();
  for (const auto& link : links_) {
    if (link) world_.network.close(*link);
  }
  session_.machine().forget_all();
}

// ---- tasks ----

void Node::add(std::unique_ptr<Task> task, base::Duration delay) {
  plan(*tasks_.emplace_back(std::move(task)), delay);
}

void Node::plan(Task& task, base::Duration delay) {
  struct Plan {
    Node* node;
    Task* task;
    std::uint64_t number;
    void operator()() const {
      if (node->plans_.at(task) != number) return;
      task->act();
      node->settle();
    }
  };
  const Plan planned{this, &task, ++plans_[&task]};
  world_.timeline.after(delay, [this, planned] { run_session(planned); });
}

void Node::settle() {
  if (!alive_) return;
  while (true) {
    const auto completions = machine().take_completions();
    for (const auto& completion : completions) {
      if (const auto it = owners_.find(completion.id); it != owners_.end()) {
        it->second->completed(completion);
      }
    }
    const auto losses = machine().take_losses();
    for (const auto id : losses) {
      if (const auto it = owners_.find(id); it != owners_.end()) it->second->lost(id);
    }
    if (completions.empty() && losses.empty()) break;
  }
  const auto news = session_.take_link_news();
  if (news.lost) on_links_lost();
  if (news.healthy) failures_ = 0;
  write(kCommands, session_.client());
  write(kInbox, session_.client());
  if (!links_[kCommands] && !links_[kInbox] && !opening_ && !rests()) open_links();
  set_timer();
}

// ---- the links of the session ----

void Node::write(LinkIndex index, client::Client& client) {
  auto& output = client.output(index == kInbox ? Channel::kInbox : Channel::kCommands);
  if (output.empty()) return;
  if (links_[index]) world_.network.send(*links_[index], std::exchange(output, {}));
  output.clear();
}

void Node::drop(LinkIndex index) {
  if (links_[index]) world_.network.close(*links_[index]);
  links_[index].reset();
}

void Node::open_links() {
  opening_ = true;
  const auto attempt = ++attempt_;
  const auto pause = world_.random.between(
      base::Duration(0), failures_ == 0 ? base::Duration(50ms) : base::Duration(1s));
  for (const auto index : {kCommands, kInbox}) {
    world_.timeline.after(pause + world_.network.latency(), [this, index, attempt] {
      if (alive_ && attempt == attempt_) {
        run_session([this, index, attempt] { link_open(index, attempt); });
      }
    });
  }
}

void Node::link_open(LinkIndex index, std::uint64_t attempt) {
  if (attempt != attempt_) return;
  if (!world_.server_is_up()) return links_failed();
  links_[index] = world_.network.connect(*this);
  session_.client().connected(index == kInbox ? Channel::kInbox : Channel::kCommands, now());
  if (links_[kCommands] && links_[kInbox]) opening_ = false;
  settle();
}

void Node::links_failed() {
  ++attempt_;
  world_.trace(name_, [] { return std::string("finds no server"); });
  const bool had_one = links_[kCommands] || links_[kInbox];
  if (had_one) {
    session_.disconnected("there is no server", now());
  } else {
    on_links_lost();
  }
  settle();
}

void Node::on_links_lost() {
  world_.trace(name_, [] { return std::string("has lost its links"); });
  drop(kCommands);
  drop(kInbox);
  ++attempt_;
  opening_ = false;
  // As a client whose retry settings are used up.
  if (++failures_ % kRetries == 0) {
    machine().give_up({base::ErrorKind::kConnection, "the server stays away"});
    world_.timeline.after(0s, [this] { run_session([this] { settle(); }); });
  }
}

void Node::set_timer() {
  const auto at = true_time(session_.deadline());
  if (at == base::Duration::max() || at >= timer_) return;
  timer_ = at;
  const auto late = world_.random.between(base::Duration(0), base::Duration(1ms));
  world_.timeline.at(std::max(at, world_.timeline.now()) + late, [this, at] {
    run_session([this, at] {
      if (at == timer_) timer_ = base::Duration::max();
      session_.tick(now());
      settle();
    });
  });
}

// ---- the renewal ----

void Node::step_renewal() {
  const auto need = renewal_.step(now());
  if (need.lost && links_[kRenewal]) drop_renewal();
  if (need.connect && !links_[kRenewal] && !renewal_opening_ &&
      world_.timeline.now() >= renewal_next_attempt_) {
    connect_renewal();
  }
  write(kRenewal, renewal_.client());
  set_renewal_timer();
}

void Node::connect_renewal() {
  renewal_opening_ = true;
  renewal_next_attempt_ = world_.timeline.now() + renewal_.longest_pause() * 5 / 2;
  world_.timeline.after(world_.network.latency(), [this] {
    run_renewal([this] {
      renewal_opening_ = false;
      if (world_.server_is_up()) {
        links_[kRenewal] = world_.network.connect(*this);
        renewal_.client().connected(Channel::kCommands, now());
      } else {
        drop_renewal();
      }
      step_renewal();
    });
  });
}

void Node::drop_renewal() {
  drop(kRenewal);
  renewal_.client().disconnected("the connection for renewals was lost");
  const auto limit = std::min<base::Duration>(renewal_.longest_pause(),
                                              10ms * (1 << std::min(renewal_failures_++, 10)));
  renewal_next_attempt_ = world_.timeline.now() + world_.random.between(limit / 2, limit);
}

void Node::set_renewal_timer() {
  auto at = true_time(renewal_.deadline());
  if (!renewal_.client().ready() && renewal_next_attempt_ > world_.timeline.now()) {
    at = std::min(at, renewal_next_attempt_);
  }
  if (at == base::Duration::max() || at >= renewal_timer_) return;
  renewal_timer_ = at;
  world_.timeline.at(std::max(at, world_.timeline.now()) + 1us, [this, at] {
    run_renewal([this, at] {
      if (at == renewal_timer_) renewal_timer_ = base::Duration::max();
      step_renewal();
    });
  });
}

// ---- from the network ----

void Node::received(ConnectionId id, std::string bytes) {
  if (id == links_[kRenewal]) {
    return run_renewal([this, id, bytes = std::move(bytes)] {
      if (id != links_[kRenewal]) return;
      renewal_failures_ = 0;
      renewal_.client().received(Channel::kCommands, bytes, now());
      step_renewal();
    });
  }
  run_session([this, id, bytes = std::move(bytes)] {
    if (id != links_[kCommands] && id != links_[kInbox]) return;
    session_.received(id == links_[kInbox] ? Channel::kInbox : Channel::kCommands, bytes, now());
    settle();
  });
}

void Node::closed(ConnectionId id) {
  if (id == links_[kRenewal]) {
    return run_renewal([this, id] {
      if (id != links_[kRenewal]) return;
      drop_renewal();
      step_renewal();
    });
  }
  run_session([this, id] {
    if (id != links_[kCommands] && id != links_[kInbox]) return;
    session_.disconnected("the server closed the connection", now());
    settle();
  });
}

}  // namespace dsync::simulation
