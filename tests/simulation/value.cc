#include "value.h"

#include "resp/writer.h"

namespace dsync::simulation {

void append_resp(std::string& out, const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNil:
      out.append("$-1\r\n");
      return;
    case Value::Kind::kInteger:
      out.append(":").append(std::to_string(value.integer)).append("\r\n");
      return;
    case Value::Kind::kBulk:
      resp::append_bulk(out, value.text);
      return;
    case Value::Kind::kStatus:
      out.append("+").append(value.text).append("\r\n");
      return;
    case Value::Kind::kError:
      out.append("-").append(value.text).append("\r\n");
      return;
    case Value::Kind::kArray:
      resp::append_array(out, value.items.size());
      for (const auto& item : value.items) append_resp(out, item);
  }
}

std::string show(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNil:
      return "nil";
    case Value::Kind::kInteger:
      return std::to_string(value.integer);
    case Value::Kind::kBulk:
    case Value::Kind::kStatus:
      return '\'' + value.text + '\'';
    case Value::Kind::kError:
      return "(error) " + value.text;
    case Value::Kind::kArray:
      break;
  }
  std::string result = "[";
  for (const auto& item : value.items) {
    if (result.size() > 1) result += ", ";
    result += show(item);
  }
  return result + ']';
}

}  // namespace dsync::simulation
