local json = {}

-- Returns the table in a JSON text; nil if there is no text or it is unreadable.
function json.read(text)
  local is_read, value = pcall(cjson.decode, text)
  return is_read and type(value) == 'table' and value or nil
end
