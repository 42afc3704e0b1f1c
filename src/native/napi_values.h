// Values between C++ and JavaScript, as far as addon.cc needs them.
#pragma once

#include <node_api.h>

#include <array>
#include <stdexcept>
#include <string>
#include <vector>

namespace blockrank {

inline napi_value Null(napi_env env) {
  napi_value value = nullptr;
  napi_get_null(env, &value);
  return value;
}

inline napi_value NewObject(napi_env env) {
  napi_value value = nullptr;
  napi_create_object(env, &value);
  return value;
}

inline void Set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

inline napi_value ToJs(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

inline napi_value ToJs(napi_env env, const std::vector<std::string>& texts) {
  napi_value array = nullptr;
  napi_create_array_with_length(env, texts.size(), &array);
  for (size_t i = 0; i < texts.size(); ++i)
    napi_set_element(env, array, static_cast<uint32_t>(i), ToJs(env, texts[i]));
  return array;
}

inline std::string ToString(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    throw std::invalid_argument("expected a string");
  }
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

// The call's first Count arguments, which must be strings.
template <size_t Count>
std::array<std::string, Count> StringArguments(napi_env env, napi_callback_info info) {
  std::array<napi_value, Count> values;
  size_t count = Count;
  napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr);
  std::array<std::string, Count> texts;
  for (size_t i = 0; i < Count; ++i) texts[i] = ToString(env, values[i]);
  return texts;
}

}  // namespace blockrank
