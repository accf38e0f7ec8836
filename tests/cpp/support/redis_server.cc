#include "support/redis_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace dsync::tests {
namespace {

int free_port() {
  const driver::Descriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (bind(probe.get(), generic, size) != 0 || getsockname(probe.get(), generic, &size) != 0) {
    throw std::runtime_error("there is no free port");
  }
  return ntohs(address.sin_port);
}

// In the child: becomes the server. Between fork and exec only what is safe in a process of
// threads.
[[noreturn]] void become(const std::vector<char*>& arguments, int output, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == parent && dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0) {
    execvp(arguments[0], arguments.data());
  }
  _exit(127);
}

}  // namespace

RedisServer::RedisServer(std::vector<std::string> options) : options_(std::move(options)) {
  auto name = (std::filesystem::temp_directory_path() / "dsync-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("there is no temporary directory");
  directory_ = name;
  start();
}

RedisServer::~RedisServer() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void RedisServer::start() {
  std::string output;
  // Another process may have taken the port meanwhile, the first time.
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (port_ == 0) port_ = free_port();
    output = try_start();
    if (process_ != 0) return;
    if (output.find("in use") == std::string::npos) break;
    port_ = 0;
  }
  throw std::runtime_error("redis-server did not start: " + output);
}

std::string RedisServer::try_start() {
  std::vector<std::string> words{"redis-server",
                                 "--port",
                                 std::to_string(port_),
                                 "--bind",
                                 "127.0.0.1",
                                 "--unixsocket",
                                 directory_ + "/socket",
                                 "--dir",
                                 directory_,
                                 "--save",
                                 ""};
  words.insert(words.end(), options_.begin(), options_.end());
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("there is no pipe");
  log_ = driver::Descriptor(ends[0]);
  driver::Descriptor write_end(ends[1]);
  const auto parent = getpid();
  process_ = fork();
  if (process_ == 0) become(arguments, write_end.get(), parent);
  write_end.reset();
  std::string output;
  std::array<char, 4096> buffer;
  while (output.find("eady to accept connections") == std::string::npos) {
    const auto size = read(log_.get(), buffer.data(), buffer.size());
    if (size <= 0) {
      kill();
      return output;
    }
    output.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return output;
}

void RedisServer::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

void RedisServer::freeze() {
  ::kill(process_, SIGSTOP);
  // It has stopped when this returns, so no command of the test is answered any more.
  waitpid(process_, nullptr, WUNTRACED);
}

void RedisServer::thaw() { ::kill(process_, SIGCONT); }

}  // namespace dsync::tests
