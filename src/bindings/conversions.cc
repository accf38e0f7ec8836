#include "bindings/conversions.h"

#include <string>

#include "driver/socket.h"

namespace dsync::bindings {

client::Login to_login(const py::object& username, const py::object& password,
                       std::int64_t database, std::string client_name) {
  client::Login login{.username = std::nullopt,
                      .password = std::nullopt,
                      .database = database,
                      .client_name = std::move(client_name)};
  if (!username.is_none()) login.username = username.cast<std::string>();
  if (!password.is_none()) login.password = password.cast<std::string>();
  return login;
}

py::object take_bytes(std::string& output) {
  if (output.empty()) return py::none();
  py::bytes result(output);
  driver::drop_front(output, output.size());
  return result;
}

py::str to_str(const std::string& text) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

}  // namespace dsync::bindings
